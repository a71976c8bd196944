import {
  isTerminalEntry,
  type IngressBroker,
  type JobRecord,
  type LogEntry,
} from "@headrace/broker";
import {
  choiceDeltaSchema,
  jobEndSchema,
  ResultBuilder,
  START,
  type Cursor,
  type Endpoint,
  type JobEnd,
  type TerminalStatus,
} from "@headrace/contract";
import { z } from "zod";

const deltasSchema = z.array(choiceDeltaSchema);
const vectorsSchema = z.array(z.unknown());
const attemptSchema = z.object({ reset: z.boolean() });

/** Entries read from a log at a time. */
const PAGE = 256;

/** A job's end, with the response it came to. */
export interface Ending {
  readonly status: TerminalStatus;
  readonly end: JobEnd;
  readonly result: Record<string, unknown> | null; // null unless it completed
}

/** What a result says of its job. */
export interface CollectedJob {
  readonly id: string;
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
export async function readEnding(broker: IngressBroker, record: JobRecord): Promise<Ending | null> {
  const { endpoint, model } = record.spec;
  const collector = new ResultCollector({ id: record.id, endpoint, model });
  let after: Cursor = START;
  while (true) {
    const entries = await broker.readLog(record.id, after, PAGE);
    for (const entry of entries) {
      const ending = collector.take(entry);
      if (ending !== null) return ending;
      after = entry.cursor;
    }
    if (entries.length < PAGE) return null;
  }
}
