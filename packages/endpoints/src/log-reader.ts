import type { IngressBroker, LogEntry } from "@headrace/broker";
import { START, type Cursor, type JobId } from "@headrace/contract";

/** Entries read from a log at a time. */
const PAGE = 256;

/** Whoever has the logs of jobs. */
export type LogReader = Pick<IngressBroker, "readLog">;

/** @yields a job's log from its first entry on, as far as it goes now */
export async function* readEntries(log: LogReader, job: JobId): AsyncGenerator<LogEntry, void> {
  let after: Cursor = START;
  while (true) {
    const entries = await log.readLog(job, after, PAGE);
    for (const entry of entries) {
      after = entry.cursor;
      yield entry;
    }
    if (entries.length < PAGE) return;
  }
}
