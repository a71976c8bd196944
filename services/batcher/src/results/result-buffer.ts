import type { SubmittedLine } from "@headrace/broker";
import type { BatchUsage, Usage } from "@headrace/contract";
import { z } from "zod";

import type { Checkpoint } from "../checkpoint.ts";
import type { OpenLine } from "../lines/line-board.ts";
import type { LineResult } from "../lines/line-result.ts";

/** Counts of lines and of what they took. */
export type Tally = Pick<Checkpoint, "completed" | "failed" | "usage" | "gpuMs">;

/** Results that go into one pair of segments. */
export interface Results {
  /** JSON Lines. */
  readonly output: string;
  readonly error: string;
  /** What is to be forgotten once they are safe. */
  readonly jobs: readonly SubmittedLine[];
  /** What the batch comes to with them. */
  readonly tally: Tally;
}

/** Gathers results until they are worth an object. */
export class ResultBuffer {
  #texts = { output: [] as string[], error: [] as string[] };
  #lines: OpenLine[] = [];
  #bytes = 0;
  #tally: Tally;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  /** Of all results so far. */
  get tally(): Tally {
    return this.#tally;
  }

  /** Results that are held. */
  get size(): number {
    return this.#lines.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Places of the lines whose results are held. */
  get places(): number[] {
    return this.#lines.map(({ place }) => place);
  }

  add(line: OpenLine, { kind, line: result, usage, gpuMs }: LineResult): void {
    const text = `${JSON.stringify(result)}\n`;
    this.#texts[kind].push(text);
    this.#lines.push(line);
    this.#bytes += text.length;
    const { completed, failed, usage: before, gpuMs: beforeMs } = this.#tally;
    this.#tally = {
      completed: completed + (kind === "output" ? 1 : 0),
      failed: failed + (kind === "error" ? 1 : 0),
      usage: usage === null ? before : addUsage(before, usage),
      gpuMs: beforeMs + gpuMs,
    };
  }

  /** Take all that is held. */
  take(): Results {
    const results: Results = {
      output: this.#texts.output.join(""),
      error: this.#texts.error.join(""),
      jobs: this.#lines.flatMap(({ jobs }) => jobs),
      tally: this.#tally,
    };
    this.#texts = { output: [], error: [] };
    this.#lines = [];
    this.#bytes = 0;
    return results;
  }
}

const cachedSchema = z.looseObject({ cached_tokens: z.int().min(0) });
const reasonedSchema = z.looseObject({ reasoning_tokens: z.int().min(0) });

function addUsage(before: BatchUsage, usage: Usage): BatchUsage {
  const cached = cachedSchema.safeParse(usage["prompt_tokens_details"]).data?.cached_tokens ?? 0;
  const details = reasonedSchema.safeParse(usage["completion_tokens_details"]).data;
  return {
    input_tokens: before.input_tokens + usage.prompt_tokens,
    input_tokens_details: {
      cached_tokens: before.input_tokens_details.cached_tokens + cached,
    },
    output_tokens: before.output_tokens + (usage.completion_tokens ?? 0),
    output_tokens_details: {
      reasoning_tokens:
        before.output_tokens_details.reasoning_tokens + (details?.reasoning_tokens ?? 0),
    },
    total_tokens: before.total_tokens + usage.total_tokens,
  };
}
