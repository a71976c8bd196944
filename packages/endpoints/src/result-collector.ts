import { isTerminalEntry, type LogEntry } from "@headrace/broker";
import {
  choiceDeltaSchema,
  jobEndSchema,
  ResultBuilder,
  type Endpoint,
  type JobEnd,
  type JobId,
  type TerminalStatus,
} from "@headrace/contract";
import { z } from "zod";

import { readEntries, type LogReader } from "./log-reader.ts";

const deltasSchema = z.array(choiceDeltaSchema);
const vectorsSchema = z.array(z.unknown());
const attemptSchema = z.object({ reset: z.boolean() });

/** A job's end, with the response it came to. */
export interface Ending {
  readonly status: TerminalStatus;
  readonly end: JobEnd;
  readonly result: Record<string, unknown> | null; // null unless it completed
}

/** What a result says of its job. */
export interface CollectedJob {
  readonly id: JobId;
  readonly endpoint: Endpoint;
  readonly model: string;
}

/** Folds a job's log into the response that the engine would have given. */
export class ResultCollector {
  readonly #job: CollectedJob;
  readonly #builder: ResultBuilder;

  constructor(job: CollectedJob) {
    this.#job = job;
    this.#builder = new ResultBuilder(job.endpoint);
  }

  /** Take the next entry. @returns the job's end when this was it */
  take({ type, data }: LogEntry): Ending | null {
    if (isTerminalEntry(type)) return this.#end(type, jobEndSchema.parse(JSON.parse(data)));
    switch (type) {
      case "attempt":
        if (attemptSchema.parse(JSON.parse(data)).reset) this.#builder.reset();
        break;
      case "delta":
        this.#builder.addChoices(deltasSchema.parse(JSON.parse(data)));
        break;
      case "vectors":
        this.#builder.addData(vectorsSchema.parse(JSON.parse(data)));
        break;
    }
    return null;
  }

  /** Forget what was taken: it comes again. */
  reset(): void {
    this.#builder.reset();
  }

  #end(status: TerminalStatus, end: JobEnd): Ending {
    if (status !== "completed") return { status, end, result: null };
    const { id, endpoint, model } = this.#job;
    const head = {
      id: responseId(endpoint, id),
      created: Math.floor(end.at.accepted / 1_000),
      model,
    };
    return { status, end, result: this.#builder.build(head, end.outcome.usage ?? null) };
  }
}

const ID_PREFIXES: Readonly<Record<Endpoint, string>> = {
  "/v1/chat/completions": "chatcmpl-",
  "/v1/completions": "cmpl-",
  "/v1/embeddings": "embd-",
};

/** The id of a job's response: OpenAI's prefix, then the job's own id. */
export function responseId(endpoint: Endpoint, job: string): string {
  return ID_PREFIXES[endpoint] + job;
}

/** Read what a job that has ended came to. @returns null when its log is gone */
export async function readEnding(
  log: LogReader,
  { id, spec }: { readonly id: JobId; readonly spec: Omit<CollectedJob, "id"> },
): Promise<Ending | null> {
  const collector = new ResultCollector({ id, endpoint: spec.endpoint, model: spec.model });
  for await (const entry of readEntries(log, id)) {
    const ending = collector.take(entry);
    if (ending !== null) return ending;
  }
  return null;
}
