import type { EngineLoad } from "./gauges.ts";

/** Above this share of the key-value cache the window stands still. */
const CACHE_HIGH = 0.85;
/** Above this share it shrinks: at 1 vLLM throws running requests out and computes them anew. */
const CACHE_FULL = 0.95;
/** Share of the cache that a shrinking window aims at, between the two above. */
const CACHE_TARGET = 0.9;
/** Requests that may stand in the engine's queue per one in flight: they hide the refill's delay. */
const SLACK_SHARE = 1 / 32;
const MIN_SLACK = 2;
/** Growth is judged by the next look at the engine, and no sooner than this, in milliseconds. */
const REACTION_MS = 200;
/** Of the window this much must be in use before it grows. */
const USED_SHARE = 0.9;
/** What a refusal leaves of the window. */
const REFUSED_SHARE = 0.8;
/** Pause after a first refusal, in milliseconds; it doubles while refusals go on. */
const FIRST_PAUSE_MS = 100;
/** Longest pause, in milliseconds, whatever the engine asks: a look costs it one small refusal. */
const MAX_PAUSE_MS = 5_000;
const DEFAULT_INITIAL_SIZE = 8;

export interface InFlightWindowOptions {
  /** Jobs in flight at most, whatever the engine could take. */
  readonly maxSize: number;
  /** Jobs in flight before anything is known of the engine. Default 8. */
  readonly initialSize?: number;
}

/**
 * How many jobs to keep in flight at an engine, so that it is full and the backlog stays with us,
 * where it keeps its order.
 *
 * It looks for the size at which the engine's own queue just stays empty:
 *
 * - **Searching**, until the first sign of saturation: doubles at each look that finds the window
 *   used, no request waiting and cache to spare, though never past where the cache would be full.
 * - **Approaching**, below the ceiling (the size at the last sign of saturation): closes a quarter
 *   of the gap at each such look.
 * - **Probing**, at the ceiling and beyond: by 1, 2, 4, … up to a quarter of the size, from 1 again
 *   after any look that finds no room.
 * - **Shrinking**: to what the engine held without its standing queue, or by as much as its cache
 *   is too full. Both are computed from what is in flight, not from the size, so that looking
 *   again while the excess drains does not shrink twice. A queue counts as standing when two looks
 *   running find it: what was sent at once is queued for some steps while it is prefilled.
 * - **Paused**, after a refusal (503, 429): one fifth smaller, and no job is sent for 100 ms, twice
 *   that after each further refusal, as long as the engine asks when it does, at most 5 s. The
 *   refusals of jobs already sent change nothing more. The first job accepted after it ends the
 *   episode; until then the window does not grow. Only the first refusal of an episode sets the ceiling: the later ones come from an
 *   engine that is ill or restarting, and say nothing of its capacity.
 *
 * An engine without gauges shows only refusals: nothing waits and its cache is empty.
 *
 * Holds no clock and no timer: every instant comes in, in milliseconds of one monotonic clock.
 */
export class InFlightWindow {
  readonly #maxSize: number;
  #size: number;
  #ceiling = Number.POSITIVE_INFINITY;
  #probe = 1;
  #grownAtMs = Number.NEGATIVE_INFINITY;
  #waitingBefore = 0;
  #refusals = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor({ maxSize, initialSize = DEFAULT_INITIAL_SIZE }: InFlightWindowOptions) {
    this.#maxSize = maxSize;
    this.#size = Math.min(initialSize, maxSize);
  }

  /** Jobs to keep in flight, from 1 to the maximum. */
  get size(): number {
    return this.#size;
  }

  /** Until when nothing may be sent; in the past when it may. */
  get pausedUntilMs(): number {
    return this.#pausedUntilMs;
  }

  /**
   * Take a look at the engine, once or twice a second.
   *
   * @param load null when the engine has no gauges
   * @param inFlight jobs at the engine when it was asked
   */
  onLoad(load: EngineLoad | null, inFlight: number, nowMs: number): void {
    const { waiting = 0, kvCacheUsage = 0 } = load ?? {};
    const standing = Math.min(waiting, this.#waitingBefore);
    this.#waitingBefore = waiting;
    const slack = Math.max(MIN_SLACK, Math.ceil(inFlight * SLACK_SHARE));
    if (standing > slack) this.#shrink(inFlight - standing + slack);
    if (kvCacheUsage > CACHE_FULL) this.#shrink((inFlight * CACHE_TARGET) / kvCacheUsage);
    if (waiting > 0 || kvCacheUsage >= CACHE_HIGH) this.#probe = 1;
    else if (inFlight >= this.#size * USED_SHARE) this.#grow(kvCacheUsage, nowMs);
  }

  /**
   * Take note that the engine refused a job for want of room.
   *
   * @param retryAfterMs how long the engine asked to be left alone, null when it did not say
   */
  onFull(nowMs: number, retryAfterMs: number | null): void {
    const askedUntilMs = nowMs + Math.min(retryAfterMs ?? 0, MAX_PAUSE_MS);
    if (nowMs >= this.#pausedUntilMs) {
      if (this.#refusals === 0) this.#ceiling = this.#size;
      this.#refusals += 1;
      this.#probe = 1;
      this.#size = Math.max(1, Math.floor(this.#size * REFUSED_SHARE));
      this.#pausedUntilMs =
        nowMs + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#refusals - 1));
    }
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, askedUntilMs);
  }

  /** Take note that the engine accepted a job. */
  onAccepted(nowMs: number): void {
    if (nowMs >= this.#pausedUntilMs) this.#refusals = 0;
  }

  #shrink(target: number): void {
    const size = Math.max(1, Math.floor(this.#size / 2), Math.floor(target));
    if (size >= this.#size) return;
    this.#size = size;
    this.#ceiling = size;
    this.#probe = 1;
  }

  #grow(kvCacheUsage: number, nowMs: number): void {
    if (this.#refusals > 0 || nowMs - this.#grownAtMs < REACTION_MS) return;
    const room =
      kvCacheUsage > 0 ? Math.ceil((this.#size * CACHE_TARGET) / kvCacheUsage) : Infinity;
    this.#size = Math.min(this.#size + this.#step(), room, this.#maxSize);
    this.#grownAtMs = nowMs;
  }

  #step(): number {
    if (this.#ceiling === Number.POSITIVE_INFINITY) return this.#size;
    if (this.#size < this.#ceiling) return Math.ceil((this.#ceiling - this.#size) / 4);
    const step = this.#probe;
    this.#probe = Math.min(step * 2, Math.max(1, Math.floor(this.#size / 4)));
    return step;
  }
}
