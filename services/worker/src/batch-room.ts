import type { BatchSlots } from "@headrace/broker";

import { BatchLimit } from "./batch-limit.ts";
import { DecodePace } from "./decode-pace.ts";
import type { SlotBoard } from "./slot-board.ts";

/** One slot in each full so many is kept from batch work, so that who comes next need not wait for one. */
const KEPT_SHARE = 16;
/** Prompt tokens of batch work that the engine may be reading at once, while others use it. */
const READING_TOKENS = 128;
/** Others count as using the engine until they have been gone for this long, ms. */
const GONE_MS = 10_000;

/** A job on its way into a slot. */
export interface Entry {
  readonly isBatch: boolean;
  readonly promptTokens: number;
}

/** A job in a slot. */
export interface Stay {
  /** The engine has read its prompt: its first output is there. */
  readonly begin: () => void;
  /** The engine has sent more of its output. */
  readonly beat: () => void;
  readonly leave: () => void;
}

/**
 * Decides when batch work may start, so that it fills what others leave and they hardly notice.
 *
 * A first token waits for the step that the engine is in, and then for its own prompt to be read; both
 * take longer with each prompt that is read in the same steps. So while others use the engine, batch
 * work
 *
 * - starts only when none of them waits for a first token: the more others there are, and the longer
 *   they wait, the seldomer that is;
 * - one prompt at a time, or a few short ones;
 * - and only up to where more jobs in flight make every step longer.
 *
 * One slot in each full sixteen is never for batch work.
 *
 * @see docs/adr/012-fair-turns-in-bullmqs-own-set.md
 */
export class BatchRoom implements BatchSlots {
  readonly #board: SlotBoard;
  readonly #limit = new BatchLimit();
  readonly #pace = new DecodePace();
  #others = 0;
  #othersWaiting = 0;
  #reading = 0;
  #othersGoneAtMs = Number.NEGATIVE_INFINITY;
  #waiter: (() => void) | null = null;

  constructor(board: SlotBoard) {
    this.#board = board;
  }

  /** Take a job in. */
  enter({ isBatch, promptTokens }: Entry): Stay {
    let isReading = true;
    const stream = {};
    this.#pace.startReading();
    if (isBatch) this.#reading += promptTokens;
    else {
      this.#others += 1;
      this.#othersWaiting += 1;
    }
    const begin = (): void => {
      if (!isReading) return;
      isReading = false;
      this.#pace.endReading();
      if (isBatch) this.#reading -= promptTokens;
      else this.#othersWaiting -= 1;
      this.#check();
    };
    const beat = (): void => this.#pace.beat(stream, performance.now());
    const leave = (): void => {
      this.#pace.leave(stream);
      if (!isBatch) this.#others -= 1;
      if (this.#others === 0 && !isBatch) this.#othersGoneAtMs = performance.now();
      begin();
      this.#check();
    };
    return { begin, beat, leave };
  }

  /** How many jobs of batch work may start now. */
  readonly countFree = (): number => {
    // No more than that: a window of which batch work alone can use less than nine tenths never grows.
    const kept = Math.floor(this.#board.size / KEPT_SHARE);
    const free = this.#board.countFree() - kept;
    if (free <= 0 || !this.#isShared) return Math.max(0, free);
    if (this.#othersWaiting > 0 || this.#reading >= READING_TOKENS) return 0;
    if (this.#limit.isPausing && !this.#pace.isMeasured) return 0;
    if (this.#board.inFlight < this.#limit.size) return 1;
    this.#limit.reach();
    return 0;
  };

  /** Take a look at how the engine fares, twice a second. */
  onLook(): void {
    this.#limit.onLook(this.#pace.take(), this.#board.inFlight);
    this.#check();
  }

  /** Resolve once batch work may start, or the signal is aborted. One waits at a time. */
  readonly whenFree = async (signal: AbortSignal): Promise<void> => {
    if (signal.aborted || this.countFree() > 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiter = resolve;
    signal.addEventListener("abort", this.#release, { once: true });
    await promise;
    signal.removeEventListener("abort", this.#release);
  };

  /** The slots may have changed, or time has passed: tell the waiter if there is room now. */
  #check(): void {
    if (this.#waiter !== null && this.countFree() > 0) this.#release();
  }

  readonly #release = (): void => {
    this.#waiter?.();
    this.#waiter = null;
  };

  get #isShared(): boolean {
    return this.#others > 0 || performance.now() - this.#othersGoneAtMs < GONE_MS;
  }
}
