import {
  formatCursor,
  parseCursor,
  type Cursor,
  type JobId,
  type TerminalStatus,
} from "@headrace/contract";
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

/** A part of a log: up to `limit` entries after a cursor, or from it on. */
export type LogPage = { readonly limit: number } & (
  | { readonly after: Cursor }
  | { readonly from: Cursor }
);

/** Read a page, oldest entry first. */
export async function readLog(redis: Redis, job: JobId, page: LogPage): Promise<LogEntry[]> {
  const start = "after" in page ? `(${formatCursor(page.after)}` : formatCursor(page.from);
  const entries = await redis.xrange(keys.log(job), start, "+", "COUNT", page.limit);
  return entries.flatMap(([id, fields]) => parseStreamEntry(id, fields) ?? []);
}

/** Build an entry of what the stream holds. Token ids, a further field, are not for readers. */
export function parseStreamEntry(id: string, fields: readonly string[]): LogEntry | null {
  const [type = "", data = ""] = fields;
  return toLogEntry(id, type, data);
}

function isLogEntryType(type: string): type is LogEntryType {
  return TYPES.has(type);
}
