/**
 * Shares the GPU's time out among the jobs that it works on at once: while there are n, each is
 * charged an n-th of what passes. The shares add up to the time in which there was any job.
 *
 * One sum serves all jobs: what a single job would be charged since the start. A job's share is by
 * how much it has grown while the job ran.
 */
export class GpuClock {
  readonly #gpus: number;
  readonly #now: () => number;
  #running = 0;
  #chargedMs = 0;
  #lookedAtMs = 0;

  /**
   * @param gpus that the engine spreads each job over
   * @param now a monotonic clock, ms
   */
  constructor(gpus: number, now: () => number = () => performance.now()) {
    this.#gpus = gpus;
    this.#now = now;
  }

  /** A job begins to run. @returns to be called once, when it stops: tells its share, ms of one GPU */
  start(): () => number {
    this.#look();
    this.#running += 1;
    const beforeMs = this.#chargedMs;
    return () => {
      this.#look();
      this.#running -= 1;
      return this.#chargedMs - beforeMs;
    };
  }

  #look(): void {
    const nowMs = this.#now();
    if (this.#running > 0) {
      this.#chargedMs += ((nowMs - this.#lookedAtMs) * this.#gpus) / this.#running;
    }
    this.#lookedAtMs = nowMs;
  }
}
