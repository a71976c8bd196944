/** More ends than this in one window, and starting again is no cure. */
const MOST_RESTARTS = 5;
const WINDOW_MS = 60_000;
const FIRST_PAUSE_MS = 200;

/** Decides whether a process that ended unexpectedly is started again, and when. */
export class RestartPolicy {
  readonly #now: () => number;
  #endsAtMs: number[] = [];

  /** @param now ms of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Note that the process ended.
   *
   * @returns ms to wait before it is started again, doubling from 200; null after five restarts
   *   within a minute
   */
  next(): number | null {
    const now = this.#now();
    this.#endsAtMs = this.#endsAtMs.filter((endedAtMs) => now - endedAtMs < WINDOW_MS);
    if (this.#endsAtMs.length >= MOST_RESTARTS) return null;
    this.#endsAtMs.push(now);
    return FIRST_PAUSE_MS * 2 ** (this.#endsAtMs.length - 1);
  }
}
