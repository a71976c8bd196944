import { setTimeout as delay } from "node:timers/promises";

import type { JobId } from "@headrace/contract";

import type { Report } from "./redis.ts";

/** How long such jobs are kept. All go back together, so that there is one pause for them. */
const KEEP_MS = 2_000;
/** Then the worker fetches nothing, so that others have them first: idle ones need a millisecond each. */
const YIELD_MS = 100;
/** Most that are kept without taking slots. It takes about 1 ms to put one aside. */
const LIMIT = 1_000;

/**
 * Jobs that only a later version of Headrace can read, which this worker has fetched all the same.
 *
 * Given back they lead the queue again, and the queue cannot pass them over. So they are kept for a
 * while, beside the slots: with as many of them as slots nothing behind them would ever run. Then
 * workers of their version get their chance before this one fetches again.
 */
export class LaterJobs {
  readonly #report: Report;
  #kept = 0;
  #round: Promise<void> | null = null;
  #yieldUntilMs = Number.NEGATIVE_INFINITY;

  /** @param report told of one job of each round: there may be many */
  constructor(report: Report) {
    this.#report = report;
  }

  /** How many are kept that take no slots. */
  get aside(): number {
    return Math.min(this.#kept, LIMIT);
  }

  /** Whether others are to fetch now, and this worker is not. */
  get isYielding(): boolean {
    return performance.now() < this.#yieldUntilMs;
  }

  /** Keep a job until the round is over, or the signal is aborted, and give it back. */
  async keep(job: JobId, giveBack: () => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#kept += 1;
    try {
      this.#round ??= this.#begin(job, signal);
      await this.#round;
      await giveBack();
    } finally {
      this.#kept -= 1;
      this.#yield();
    }
  }

  /** Wait until this worker may fetch again. */
  async whenDone(signal: AbortSignal): Promise<void> {
    while (this.isYielding && !signal.aborted) {
      const ms = this.#yieldUntilMs - performance.now();
      await delay(ms, undefined, { signal }).catch(() => {});
    }
  }

  async #begin(job: JobId, signal: AbortSignal): Promise<void> {
    this.#report(new Error(`${job} was made by a later version, and is left to its workers`));
    await delay(KEEP_MS, undefined, { signal }).catch(() => {});
    this.#round = null;
    this.#yield();
  }

  #yield(): void {
    this.#yieldUntilMs = performance.now() + YIELD_MS;
  }
}
