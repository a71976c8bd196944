import { jobEndSchema, type JobEnd } from "@headrace/contract";

import type { Reader } from "./follower.ts";
import { isTerminalEntry, type LogEntry } from "./token-log.ts";

/**
 * Reads on behalf of a call whose key has limits, and has what the job held given back when it sees
 * the job's end: its caller may call again at once, and would else be refused until the settler has
 * come by.
 */
export class HoldingReader implements Reader {
  readonly #reader: Reader;
  readonly #onUsed: (tokens: number) => void;

  /** @param onUsed told how many tokens the job has used, before the reader has its end */
  constructor(reader: Reader, onUsed: (tokens: number) => void) {
    this.#reader = reader;
    this.#onUsed = onUsed;
  }

  readonly onEntry = (entry: LogEntry): boolean => {
    const tokens = isTerminalEntry(entry.type) ? tokensOf(entry) : null;
    if (tokens !== null) this.#onUsed(tokens);
    return this.#reader.onEntry(entry);
  };

  readonly onVoid = (): void => this.#reader.onVoid();

  readonly onGone = (): void => this.#reader.onGone();
}

/** @returns null for a job without a count: what its caller was given is counted by the settler */
function tokensOf({ type, data }: LogEntry): number | null {
  if (type !== "completed" && type !== "failed") return null;
  const { outcome }: JobEnd = jobEndSchema.parse(JSON.parse(data));
  const { prompt_tokens = 0, completion_tokens = 0 } = outcome.usage ?? {};
  return prompt_tokens + completion_tokens;
}
