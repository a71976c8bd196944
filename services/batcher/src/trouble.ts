import { setTimeout as delay } from "node:timers/promises";

import { PlatformError, type BatchWait } from "@headrace/contract";

import { toWait } from "./progress.ts";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

/**
 * What stands in the way of one strand of a batch's work, for as long as it does. It passes by itself
 * or through the operator: the work waits, and says so.
 */
export class Trouble {
  readonly #report: (error: Error) => void;
  #wait: BatchWait | null = null;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(report: (error: Error) => void) {
    this.#report = report;
  }

  /** What is waited for; null when nothing is. */
  get waitingFor(): BatchWait | null {
    return this.#wait;
  }

  /**
   * Do something that may have to wait.
   *
   * @returns what it returns, or null where it had to wait: then it is to be done again
   * @throws what does not pass by itself, unless the signal is aborted
   */
  async attempt<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result | null> {
    try {
      const result = await work();
      this.#wait = null;
      this.#pauseMs = FIRST_PAUSE_MS;
      return result;
    } catch (error) {
      const wait = error instanceof PlatformError ? toWait(error) : null;
      if (wait === null && !signal.aborted) throw error;
      if (wait === null) return null;
      if (this.#wait === null) this.#report(new Error(`waiting for ${wait}`, { cause: error }));
      this.#wait = wait;
      await rest(this.#pauseMs, signal);
      this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
      return null;
    }
  }
}

/** Wait, or until the signal is aborted. */
export async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
