import { formatCursor, START, type Cursor } from "@headrace/contract";
import type { Redis } from "ioredis";

import type { Attempt } from "./claim.ts";
import { keys } from "./keys.ts";
import { readIds, readTokenIds } from "./token-ids.ts";
import { parseStreamEntry } from "./token-log.ts";

/** Entries read at a time. */
const PAGE = 256;

/** What earlier attempts at a job wrote, and still stands. */
export interface WrittenOutput {
  readonly promptIds: readonly number[];
  /** Ids of the output: they may run ahead of its text, which the engine held back. */
  readonly ids: readonly number[];
  /** Data of each entry: JSON, an array of choice deltas. */
  readonly deltas: readonly string[];
}

/**
 * Read from a job's log what an attempt goes on from.
 *
 * @returns null when ids are missing, or the ledger counts other entries than the log has
 */
export async function readWritten(
  redis: Redis,
  { job, epoch, from }: Pick<Attempt, "job" | "epoch" | "from">,
): Promise<WrittenOutput | null> {
  const promptIds = readIds((await redis.hget(keys.entry(job), "prompt_ids")) ?? "");
  const ids: number[] = [];
  const deltas: string[] = [];
  let after: Cursor = START;
  for (;;) {
    const end = `(${epoch}-0`;
    const page = await redis.xrange(keys.log(job), `(${formatCursor(after)}`, end, "COUNT", PAGE);
    for (const [id, fields] of page) {
      const entry = parseStreamEntry(id, fields);
      if (entry === null) return null;
      after = entry.cursor;
      if (entry.type !== "delta") continue;
      deltas.push(entry.data);
      if (!addIds(ids, fields)) return null;
    }
    if (page.length < PAGE) break;
  }
  return promptIds.length > 0 && deltas.length === from ? { promptIds, ids, deltas } : null;
}

/** @returns whether the entry has ids that go with those before it */
function addIds(ids: number[], [, , name, text = ""]: readonly string[]): boolean {
  const own = name === "ids" ? readTokenIds(text) : null;
  if (own === null || (own.position ?? ids.length) > ids.length) return false;
  ids.length = own.position ?? ids.length;
  ids.push(...own.ids);
  return true;
}
