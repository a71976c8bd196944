import { jobEndSchema } from "@headrace/contract";
import { z } from "zod";

import type { Reader } from "./follower.ts";
import { isTerminalEntry, type LogEntry } from "./token-log.ts";

const parsedEnd = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: "custom", message: "expected JSON" });
      return z.NEVER;
    }
  })
  .pipe(jobEndSchema);

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
  // What cannot be read is the reader's to tell, and the settler's to give back.
  const end = parsedEnd.safeParse(data);
  if (!end.success) return null;
  const { prompt_tokens = 0, completion_tokens = 0 } = end.data.outcome.usage ?? {};
  return prompt_tokens + completion_tokens;
}
