import { setImmediate as nextTurn } from "node:timers/promises";

import type { ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import type { Attempt } from "./claim.ts";
import { insist, type Insistence } from "./insist.ts";
import { keys } from "./keys.ts";
import { script } from "./script.ts";

const append = script("append", z.array(z.literal([0, -1, -2, -3])));

/**
 * Longest that output waits to be written with what follows it; the first token never waits. All
 * attempts wait for the same beats of the clock, so that one call carries them all.
 */
const COALESCE_MS = 20;
/** A timer may fire this much before its time. */
const EARLY_MS = 1;
/** A job without output appears this often all the same: a lost cancel is noticed in time. */
const RENEW_MS = 500;
/** Entries in one call: about 9 µs of Redis each, so a call holds Redis up for 2.5 ms at most. */
const CALL_LIMIT = 256;

/** One log entry's content. */
export interface LogItem {
  readonly type: "delta" | "vectors";
  /** JSON on one line. */
  readonly data: string;
  /**
   * Token ids of the output, as `writeTokenIds` spells them; kept beside the data for whoever goes on
   * from here. All items of an attempt have them, or none.
   */
  readonly ids?: string;
}

/** Why an attempt is over without its worker's doing. */
export type LossReason = "fenced" | "gap" | "gone" | "lock_lost";

/** What the writer needs of an attempt. */
export interface Source {
  readonly attempt: Attempt;
  /** What the attempt has cost of the GPU's time, ms; 0 while nobody knows. */
  readonly gpuMs: number;
  /** Hand over, and forget, the oldest `limit` items at most that have come and not been taken. */
  readonly take: (limit: number) => LogItem[];
  /** The attempt is over: stop the engine. Nothing of it will be written any more. */
  readonly onLost: (reason: LossReason) => void;
}

/** A source's place in its log. */
interface Stream {
  readonly source: Source;
  /** Index of the next item, from 1: `attempt.started` has 0. */
  next: number;
  /** When it must be part of a call: soon when it has output, in time to show life otherwise. */
  dueAtMs: number;
  hasOutput: boolean;
}

/** One call of `append`, as it is put together. */
interface Call {
  readonly keys: string[];
  readonly args: (string | number)[];
}

interface Batch extends Call {
  readonly streams: Stream[];
}

/**
 * Writes the output of all of a worker's attempts, at most one call at a time.
 *
 * Output that comes within 20 ms goes together, of all attempts in one call; while a call is under
 * way the rest gathers in the sources. A call whose reply is lost is sent again, byte for byte:
 * what had been written is skipped by index.
 */
export class TokenWriter {
  readonly #redis: Redis;
  readonly #slot: string;
  readonly #insistence: Insistence;
  readonly #streams = new Map<Source, Stream>();
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #flight: Promise<void> | null = null;
  #isClosed = false;

  constructor(redis: Redis, code: ModelCode, insistence: Insistence) {
    this.#redis = redis;
    this.#slot = keys.slot(code);
    this.#insistence = insistence;
  }

  /** Write for this source from now on. */
  open(source: Source): void {
    const dueAtMs = performance.now() + RENEW_MS;
    this.#streams.set(source, { source, next: 1, dueAtMs, hasOutput: false });
    this.#wakeBy(dueAtMs);
  }

  /**
   * The source has output: it is written within 20 ms, or at once when it is urgent. Where nobody reads
   * along, it is written with the next sign of life, or with the end.
   */
  notify(source: Source, isUrgent: boolean): void {
    const stream = this.#streams.get(source);
    if (stream === undefined) return;
    stream.hasOutput = true;
    if (source.attempt.isUnread) return;
    const nowMs = performance.now();
    this.#hasten(stream, isUrgent ? nowMs : nextBeat(nowMs));
  }

  /** Write at once what the source has, until it has no more or is lost. */
  async flush(source: Source): Promise<void> {
    const stream = this.#streams.get(source);
    if (stream === undefined) return;
    stream.hasOutput = true;
    this.#hasten(stream, performance.now());
    while (this.#streams.get(source)?.hasOutput === true && !this.#isClosed) {
      await (this.#flight ?? nextTurn());
    }
  }

  /**
   * Stop writing for this source, after the call under way.
   *
   * @returns the index at which the attempt goes on
   */
  async close(source: Source): Promise<number> {
    const stream = this.#streams.get(source);
    this.#streams.delete(source);
    while (this.#flight !== null) await this.#flight;
    return stream?.next ?? 0;
  }

  /**
   * Stop writing for this source, as `close` does, and write of its last items what the call that
   * ends the job has no room for: that one holds Redis up no longer than any other.
   *
   * @returns where that call goes on, and with what; all that is left, should the attempt be lost
   */
  async conclude(
    source: Source,
    items: readonly LogItem[],
  ): Promise<{ readonly index: number; readonly items: readonly LogItem[] }> {
    let index = await this.close(source);
    let rest = items;
    while (rest.length >= CALL_LIMIT) {
      const call: Call = { keys: [], args: [this.#slot] };
      put(call, source.attempt, { index, items: rest.slice(0, CALL_LIMIT) });
      const [code] = await this.#append(call);
      if (code !== 0) break;
      index += CALL_LIMIT;
      rest = rest.slice(CALL_LIMIT);
    }
    return { index, items: rest };
  }

  /** Stop altogether. */
  shutdown(): void {
    this.#isClosed = true;
    this.#cancelWake();
  }

  #hasten(stream: Stream, atMs: number): void {
    stream.dueAtMs = Math.min(stream.dueAtMs, atMs);
    this.#wakeBy(stream.dueAtMs);
  }

  #wakeBy(atMs: number): void {
    if (atMs >= this.#wakeAtMs || this.#isClosed || this.#flight !== null) return;
    this.#cancelWake();
    this.#wakeAtMs = atMs;
    const waitMs = atMs - performance.now();
    // A timer of 0 ms takes at least one: too long for a first token.
    if (waitMs <= 0) this.#immediate = setImmediate(() => this.#tick());
    else this.#timer = setTimeout(() => this.#tick(), waitMs);
  }

  #cancelWake(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timer = null;
    this.#immediate = null;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
  }

  #tick(): void {
    this.#cancelWake();
    const batch = this.#collect();
    if (batch.streams.length === 0) return this.#schedule();
    this.#flight = this.#send(batch).finally(() => {
      this.#flight = null;
      this.#schedule();
    });
  }

  #schedule(): void {
    let atMs = Number.POSITIVE_INFINITY;
    for (const { dueAtMs } of this.#streams.values()) atMs = Math.min(atMs, dueAtMs);
    if (atMs < Number.POSITIVE_INFINITY) this.#wakeBy(atMs);
  }

  #collect(): Batch {
    const nowMs = performance.now();
    const batch: Batch = { streams: [], keys: [], args: [this.#slot] };
    let room = CALL_LIMIT;
    for (const stream of this.#findDue(nowMs)) {
      if (room === 0) break;
      room -= Math.max(addTo(batch, stream, room), 1);
      stream.dueAtMs = stream.hasOutput ? nowMs : nowMs + RENEW_MS;
      // Whoever was served goes behind those who were not.
      this.#streams.delete(stream.source);
      this.#streams.set(stream.source, stream);
    }
    return batch;
  }

  #findDue(nowMs: number): Stream[] {
    return [...this.#streams.values()].filter(
      ({ dueAtMs, hasOutput }) => dueAtMs <= nowMs + (hasOutput ? EARLY_MS : COALESCE_MS),
    );
  }

  async #send(batch: Batch): Promise<void> {
    try {
      const codes = await this.#append(batch);
      batch.streams.forEach((stream, at) => this.#judge(stream, codes[at] ?? 0));
    } catch (error) {
      // Redis was away for longer than any lock lives, or refuses for good: nobody has said that
      // the jobs have ended, so they are let go of and not acknowledged.
      this.#insistence.report(new Error("appending output", { cause: error }));
      for (const stream of batch.streams) this.#lose(stream, "lock_lost");
    }
  }

  #append({ keys: names, args }: Call): Promise<(0 | -1 | -2 | -3)[]> {
    return insist(() => append(this.#redis, names, args), this.#insistence);
  }

  #judge(stream: Stream, code: 0 | -1 | -2 | -3): void {
    if (code === 0) return;
    this.#lose(stream, code === -1 ? "fenced" : code === -2 ? "gap" : "gone");
  }

  #lose(stream: Stream, reason: LossReason): void {
    if (this.#streams.delete(stream.source)) stream.source.onLost(reason);
  }
}

/** Put up to `room` items of a stream into the call. @returns how many */
function addTo(batch: Batch, stream: Stream, room: number): number {
  const items = stream.source.take(room);
  batch.streams.push(stream);
  put(batch, stream.source.attempt, { index: stream.next, items });
  stream.next += items.length;
  stream.hasOutput = items.length === room;
  return items.length;
}

/** Put an attempt's items, the first of which has this index, into the call. */
function put(
  call: Call,
  { job, epoch, token }: Attempt,
  { index, items }: { readonly index: number; readonly items: readonly LogItem[] },
): void {
  call.keys.push(keys.entry(job), keys.log(job));
  const hasIds = items[0]?.ids !== undefined;
  call.args.push(epoch, token, index, hasIds ? -items.length : items.length);
  for (const { type, data, ids = "" } of items) {
    if (hasIds) call.args.push(type, data, ids);
    else call.args.push(type, data);
  }
}

function nextBeat(nowMs: number): number {
  return (Math.floor(nowMs / COALESCE_MS) + 1) * COALESCE_MS;
}
