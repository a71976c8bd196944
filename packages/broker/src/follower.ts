import { follows, isAfter, START, type Cursor, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";
import { isTerminalEntry, readLog, type LogEntry } from "./token-log.ts";

/** Entries per read: a reader that is behind takes them in pages, and memory holds one page. */
const PAGE = 256;

/** Whoever wants a job's entries, in order, each once. */
export interface Reader {
  /**
   * Take the next entry. Return false to be given no more until `resume()`; the entry itself is
   * taken. After a terminal entry nothing follows.
   */
  readonly onEntry: (entry: LogEntry) => boolean;
  /**
   * Redis has lost what the reader was given last: everything it was given is void, and comes again
   * from the first entry that is left.
   */
  readonly onVoid: () => void;
  /** The job's entry is gone (deleted, or past its retention): no end will come. */
  readonly onGone: () => void;
}

/**
 * One reader's place in one job's log.
 *
 * - *live*: entries come by message. One that lies directly after the last is handed on; an older
 *   one is dropped; any other means that something was missed: *reading*.
 * - *reading*: a page of the log is under way, from the last entry on. That entry must still be
 *   there, or the reader is told that it was lost. Messages are not kept, they only mark that there
 *   is more. A page that brings less than it could, with nothing marked, leads to *live*.
 * - *paused*: the reader said stop. Nothing is kept for it: `resume()` reads on from the log.
 * - *closed*: a terminal entry was handed on, the job is gone, or the reader left.
 *
 * So a slow reader costs no memory, and a lost message costs a second: the inbox' watchdog makes
 * a silent follower read.
 */
export class Follower {
  readonly #redis: Redis;
  readonly #job: JobId;
  readonly #reader: Reader;
  readonly #onClose: () => void;
  #cursor: Cursor;
  #state: "live" | "reading" | "paused" | "closed" = "live";
  #hasMore = false;
  #heardAtMs = performance.now();

  constructor(
    redis: Redis,
    place: { readonly job: JobId; readonly after: Cursor; readonly reader: Reader },
    onClose: () => void,
  ) {
    this.#redis = redis;
    this.#job = place.job;
    this.#cursor = place.after;
    this.#reader = place.reader;
    this.#onClose = onClose;
  }

  /** When the last entry or page came, on the process' monotonic clock. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** Take an entry that came by message. */
  receive(entry: LogEntry): void {
    if (this.#state !== "live") {
      this.#hasMore = true;
      return;
    }
    if (!isAfter(entry.cursor, this.#cursor)) return;
    if (this.#isNext(entry)) this.#deliver(entry);
    else this.catchUp();
  }

  /** Read what the log has beyond the last entry, if the reader has room. */
  catchUp(): void {
    if (this.#state !== "live") return;
    this.#state = "reading";
    // #read settles its own failures: a log that cannot be read is read again by the watchdog.
    void this.#read();
  }

  /** The reader has room again. */
  resume(): void {
    if (this.#state !== "paused") return;
    this.#state = "live";
    this.catchUp();
  }

  /** Stop for good. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#onClose();
  }

  /**
   * Whether nothing can lie between the last entry and this one. Of an attempt that goes on only the
   * log can tell: it may have been begun with less than the reader was given, or with more.
   */
  #isNext(entry: LogEntry): boolean {
    if (!follows(entry.cursor, this.#cursor)) return false;
    return entry.type !== "attempt" || this.#needsNothing(entry);
  }

  /** Whether an attempt makes nothing of what came before it, so that none of that can be missed. */
  #needsNothing({ type, data }: LogEntry): boolean {
    if (type !== "attempt") return false;
    const hasShown = !data.includes('"from":0,') || this.#cursor.index > 0;
    return !hasShown || data.includes('"reset":true');
  }

  async #read(): Promise<void> {
    try {
      do {
        this.#hasMore = false;
        const [entries, exists] = await Promise.all([
          readLog(this.#redis, this.#job, { from: this.#cursor, limit: PAGE }),
          this.#redis.exists(keys.entry(this.#job)),
        ]);
        this.#heardAtMs = performance.now();
        if (this.#state !== "reading") return;
        if (entries.length === 0 && exists === 0) {
          this.close();
          this.#reader.onGone();
        } else if (this.#isLost(entries[0])) {
          this.#cursor = START;
          this.#hasMore = true;
          this.#reader.onVoid();
        } else {
          this.#takePage(entries);
          if (entries.length === PAGE) this.#hasMore = true;
        }
      } while (this.#state === "reading" && this.#hasMore);
    } catch {
      // Redis is away or slow: the connection reports it, and the watchdog comes again in a second.
      this.#heardAtMs = performance.now();
    }
    if (this.#state === "reading") this.#state = "live";
  }

  /**
   * Whether Redis has lost the last entry that was handed on, given what it has from there on. One
   * that is gone because a later attempt starts (over) was not lost: that attempt says so itself.
   */
  #isLost(first: LogEntry | undefined): boolean {
    if (!isAfter(this.#cursor, START)) return false;
    if (first === undefined) return true;
    return isAfter(first.cursor, this.#cursor) && !this.#needsNothing(first);
  }

  #takePage(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      if (this.#state !== "reading") return;
      if (isAfter(entry.cursor, this.#cursor)) this.#deliver(entry);
    }
  }

  #deliver(entry: LogEntry): void {
    this.#cursor = entry.cursor;
    this.#heardAtMs = performance.now();
    const hasRoom = this.#reader.onEntry(entry);
    if (isTerminalEntry(entry.type)) this.close();
    else if (!hasRoom && this.#state !== "closed") this.#state = "paused";
  }
}
