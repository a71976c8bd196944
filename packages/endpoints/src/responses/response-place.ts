import { isTerminalEntry } from "@headrace/broker";
import { PlatformError, START, type Cursor } from "@headrace/contract";

import { readEntries, type LogReader } from "../log-reader.ts";
import { ResponseTranslator, type ResponseEvent } from "./response-translator.ts";
import type { ResponseJob } from "./response-view.ts";

/** Where a reader is in a response's events, and what it takes to tell it the rest. */
export interface ResponsePlace {
  /** Has read the log up to `after`. */
  readonly translator: ResponseTranslator;
  readonly after: Cursor;
  /** What the reader has yet to be told of the log up to there. */
  readonly pending: readonly ResponseEvent[];
  /** Events up to this number are known to the reader. */
  readonly known: number;
  readonly isEnded: boolean;
}

/** The beginning of a response's events. */
export function firstPlace(job: ResponseJob, known = -1): ResponsePlace {
  const translator = new ResponseTranslator(job);
  const pending = translator.begin().filter((event) => event.sequence_number > known);
  return { translator, after: START, pending, known, isEnded: false };
}

/**
 * Find a reader's place by the number of the last event it has.
 *
 * An event that carries output is made again from the log, up to that number: its text is part of
 * what later events say. Those before any output are the same whatever becomes of the job.
 *
 * @throws PlatformError `request_invalid` when no such event stands (any more): going on from there
 *   would leave a gap
 */
export async function findPlace(
  log: LogReader,
  job: ResponseJob,
  known: number,
): Promise<ResponsePlace> {
  const { translator } = firstPlace(job);
  if (known < translator.firstOutputNumber) return firstPlace(job, known);
  for await (const entry of readEntries(log, job.id)) {
    const events = translator.take(entry);
    const at = events.findIndex((event) => event.sequence_number === known);
    if (at === -1) continue;
    const pending = events.slice(at + 1);
    const isEnded = isTerminalEntry(entry.type);
    return { translator, after: entry.cursor, pending, known, isEnded };
  }
  throw lost();
}

function lost(): PlatformError {
  const param = "starting_after";
  return new PlatformError(
    "request_invalid",
    `${param}: no event of this response has this number (any more): it may have started over; leave it out to have all events`,
    { param },
  );
}
