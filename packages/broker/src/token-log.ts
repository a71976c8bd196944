import { parseCursor, type Cursor, type JobId, type TerminalStatus } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";

/** `attempt` opens an attempt, `delta` and `vectors` carry output, the others end the job. */
export type LogEntryType = "attempt" | "delta" | "vectors" | TerminalStatus;

/** One entry of a job's token log. */
export interface LogEntry {
  readonly cursor: Cursor;
  /** The cursor as it is spelled in Redis and in SSE. */
  readonly id: string;
  readonly type: LogEntryType;
  /** JSON on one line; for `delta` the array of choice deltas, for `vectors` of embeddings. */
  readonly data: string;
}

const TYPES: ReadonlySet<string> = new Set<LogEntryType>([
  "attempt",
  "delta",
  "vectors",
  "completed",
  "failed",
  "cancelled",
  "expired",
]);

/** Whether no entry can come after one of this type. */
export function isTerminalEntry(type: LogEntryType): type is TerminalStatus {
  return type !== "attempt" && type !== "delta" && type !== "vectors";
}

/** Build an entry from the parts that Redis stores. @returns null for a type of a later version */
export function toLogEntry(id: string, type: string, data: string): LogEntry | null {
  return isLogEntryType(type) ? { cursor: parseCursor(id), id, type, data } : null;
}

/** Read up to `limit` entries after `cursor`, oldest first. */
export async function readLog(
  redis: Redis,
  job: JobId,
  page: { readonly after: Cursor; readonly limit: number },
): Promise<LogEntry[]> {
  const { epoch, index } = page.after;
  const entries = await redis.xrange(keys.log(job), `(${epoch}-${index}`, "+", "COUNT", page.limit);
  return entries.flatMap(([id, [type = "", data = ""]]) => toLogEntry(id, type, data) ?? []);
}

function isLogEntryType(type: string): type is LogEntryType {
  return TYPES.has(type);
}
