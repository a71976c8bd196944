import { modelCodeOf, PlatformError, type JobId, type ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import { connectProducer, type Report } from "./redis.ts";
import { script } from "./script.ts";

const confirm = script("confirm", z.array(z.literal([0, 1])));

/** Connections that wait at the same time: a caller that comes while all do joins the next. */
const LANES = 4;
/** Jobs of one wait: each costs Redis a third of a microsecond. */
const BATCH = 1_000;
/** How long Redis waits for its replica; less than the connection waits for Redis. */
const WAIT_MS = 800;
/** How long a caller waits in all: with its accept before, a submit is answered within 2 s. */
const PATIENCE_MS = 1_000;
/** How long the mark that is waited for lives, once nobody waits any more. */
const MARK_MS = 60_000;

/** A caller that wants to know that a replica has its job. */
interface Waiter {
  readonly job: JobId;
  readonly resolve: () => void;
  readonly reject: (error: PlatformError) => void;
}

/**
 * Makes sure that one replica has what was accepted, before anybody is told.
 *
 * `WAIT` blocks its connection until a replica has acknowledged all that this connection wrote. It
 * need not have written the job itself: replication is one stream, so a later write stands for all
 * before it. Hence a few connections of its own write a mark and wait, each for all callers that
 * have come since: nobody queues behind another's wait, and a slow link costs each caller between
 * one and two of its round trips, however many there are.
 *
 * A connection that comes back may lead to another server, where there is nothing to wait for. So
 * the mark is written only together with a look whether the jobs are there, and a wait counts only
 * if the connection has held since.
 *
 * @see docs/adr/006-durability-levels.md
 */
export class ReplicaConfirmation {
  readonly #lanes: readonly Lane[];
  readonly #free: Lane[];
  readonly #report: Report;
  readonly #waiting: Waiter[] = [];

  constructor(redisUrl: string, report: Report) {
    this.#report = report;
    this.#lanes = Array.from({ length: LANES }, () => new Lane(connectProducer(redisUrl, report)));
    this.#free = [...this.#lanes];
  }

  /**
   * Resolve once a replica has the job.
   *
   * @throws PlatformError `queue_unavailable` when none says so within a second
   */
  async confirm(job: JobId): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(unconfirmed()), PATIENCE_MS);
    this.#waiting.push({ job, resolve, reject });
    this.#sendNext();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
  }

  #sendNext(): void {
    if (this.#waiting.length === 0) return;
    const lane = this.#free.pop();
    // #carry settles its own failures into the callers'.
    if (lane !== undefined) void this.#carry(lane, this.#waiting.splice(0, BATCH));
  }

  async #carry(lane: Lane, waiters: readonly Waiter[]): Promise<void> {
    try {
      const confirmed = await lane.confirm(waiters.map(({ job }) => job));
      for (const { job, resolve, reject } of waiters) {
        if (confirmed.has(job)) resolve();
        else reject(unconfirmed());
      }
    } catch (error) {
      this.#report(new Error("waiting for a replica", { cause: error }));
      for (const { reject } of waiters) reject(unconfirmed());
    }
    this.#free.push(lane);
    this.#sendNext();
  }
}

/** One connection, with one wait at a time. */
class Lane {
  readonly #redis: Redis;
  #lostCount = 0;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on("close", () => (this.#lostCount += 1));
  }

  /** @returns the jobs that a replica has; none of them when it did not say so in time */
  async confirm(jobs: readonly JobId[]): Promise<ReadonlySet<JobId>> {
    const lostBefore = this.#lostCount;
    const present = await this.#mark(jobs);
    const replicas = await this.#redis.wait(1, WAIT_MS);
    const isProven = replicas >= 1 && this.#lostCount === lostBefore;
    return isProven ? present : new Set();
  }

  close(): void {
    this.#redis.disconnect();
  }

  /** @returns the jobs that are on the server the mark was written to */
  async #mark(jobs: readonly JobId[]): Promise<ReadonlySet<JobId>> {
    const bySlot = Map.groupBy(jobs, modelCodeOf);
    const present = await Promise.all(
      [...bySlot].map(([code, ofSlot]) => this.#markSlot(code, ofSlot)),
    );
    return new Set(present.flat());
  }

  async #markSlot(code: ModelCode, jobs: readonly JobId[]): Promise<JobId[]> {
    const found = await confirm(
      this.#redis,
      [keys.mark(code), ...jobs.map((job) => keys.entry(job))],
      [MARK_MS],
    );
    return jobs.filter((_job, at) => found[at] === 1);
  }
}

function unconfirmed(): PlatformError {
  return new PlatformError(
    "queue_unavailable",
    "no replica has confirmed the job in time; repeat the request with the same Idempotency-Key",
  );
}
