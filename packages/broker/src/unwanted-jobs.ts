import type { JobId } from "@headrace/contract";

import { cancelJob, type Cancelled, type Cancelling } from "./cancel.ts";
import { isLost } from "./insist.ts";
import type { Report } from "./redis.ts";

/** Jobs remembered while Redis is away, about 200 bytes each. */
const LIMIT = 20_000;
const RETRY_MS = 500;
/** Jobs cancelled side by side once Redis answers. */
const PAGE = 100;

/**
 * Jobs that nobody wants, to be cancelled whether or not Redis can be reached just now: those whose
 * callers have hung up, and those whose callers were told that they are not accepted although Redis
 * may have accepted them.
 *
 * What Redis does not answer is asked again every half second, by one job until it does. Memory is
 * bounded: what would be too many to remember is left to run.
 */
export class UnwantedJobs {
  readonly #cancelling: Cancelling;
  readonly #report: Report;
  readonly #jobs = new Map<JobId, Cancelled>();
  #timer: NodeJS.Timeout | null = null;
  #isFull = false;
  #isClosed = false;

  constructor(cancelling: Cancelling, report: Report) {
    this.#cancelling = cancelling;
    this.#report = report;
  }

  /** Cancel a job now, or as soon as Redis answers. Resolves when it has been tried. */
  async cancel(job: Cancelled): Promise<void> {
    // While others wait for Redis, so does this one: asking for each would only fill the line.
    const isSettled = this.#jobs.size === 0 && (await this.#try(job));
    if (!isSettled) this.remember(job);
  }

  /** Cancel a job soon: Redis has just failed to answer, and nobody knows what it did. */
  remember(job: Cancelled): void {
    if (this.#jobs.size < LIMIT) this.#jobs.set(job.job, job);
    else if (!this.#isFull) {
      this.#isFull = true;
      this.#report(new Error(`over ${LIMIT} jobs wait to be cancelled; others are left to run`));
    }
    this.#retryLater();
  }

  /** Try all that are remembered, for as long as Redis answers. */
  async cancelAll(): Promise<void> {
    for (let page = 1; this.#jobs.size > 0; page = PAGE) {
      const jobs = [...this.#jobs.values().take(page)];
      const settled = await Promise.all(jobs.map((job) => this.#try(job)));
      jobs.forEach(({ job }, at) => {
        if (settled[at] === true) this.#jobs.delete(job);
      });
      if (settled.includes(false)) return;
    }
    this.#isFull = false;
  }

  /** Give up: an ingress that is gone has its synchronous jobs cancelled by the others' sweep. */
  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** @returns false when Redis did not answer; what it will never do counts as done */
  async #try(job: Cancelled): Promise<boolean> {
    try {
      await cancelJob(this.#cancelling, job);
    } catch (error) {
      if (isLost(error)) return false;
      this.#report(new Error(`${job.job} cannot be cancelled`, { cause: error }));
    }
    return true;
  }

  #retryLater(): void {
    if (this.#timer !== null || this.#isClosed) return;
    this.#timer = setTimeout(() => {
      void this.cancelAll().finally(() => {
        this.#timer = null;
        if (this.#jobs.size > 0) this.#retryLater();
      });
    }, RETRY_MS);
  }
}
