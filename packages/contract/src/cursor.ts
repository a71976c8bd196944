import { z } from "zod";

/** Epochs and indices stay exact in a double and in `sequence_number`. */
const cursorPattern = /^(\d{1,10})-(\d{1,10})$/;

/**
 * A place in a job's token log: `<epoch>-<index>`. Also the id of the Redis stream entry and of
 * the SSE event, so a reader's `Last-Event-ID` needs no translation.
 */
export interface Cursor {
  /**
   * Which attempt wrote the entry, from 1; 0 for a job that ended before any attempt. Each is greater
   * than all before it; after a restart of Redis, which may have forgotten some, by 1,000.
   */
  readonly epoch: number;
  /** Place within the attempt: 0 is `attempt.started`, output begins at 1. */
  readonly index: number;
}

/** Before everything: reading from here replays the whole log. */
export const START: Cursor = { epoch: 0, index: 0 };

export const cursorSchema = z
  .string()
  .regex(cursorPattern, "expected <epoch>-<index>, as in the id of an event")
  .transform(parseCursor);

/** Read `<epoch>-<index>`. The text must have come from us: anything else is a bug. */
export function parseCursor(text: string): Cursor {
  const dash = text.indexOf("-");
  return { epoch: Number(text.slice(0, dash)), index: Number(text.slice(dash + 1)) };
}

/** Write a cursor the way Redis, SSE and `starting_after` spell it. */
export function formatCursor(cursor: Cursor): string {
  return `${cursor.epoch}-${cursor.index}`;
}

/** Whether `a` lies after `b` in the log. */
export function isAfter(a: Cursor, b: Cursor): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.index > b.index);
}

/**
 * Whether nothing can lie between `before` and `next`: the next index, or a new attempt that starts
 * over. Before one that goes on, something may.
 */
export function follows(next: Cursor, before: Cursor): boolean {
  if (next.epoch === before.epoch) return next.index === before.index + 1;
  return next.epoch > before.epoch && next.index === 0;
}
