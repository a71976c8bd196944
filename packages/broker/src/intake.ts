import { setTimeout as delay } from "node:timers/promises";

import { jobIdSchema, type JobId, type ModelCode } from "@headrace/contract";
import { UnrecoverableError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";

import { claimJob, type Attempt } from "./claim.ts";
import { insist } from "./insist.ts";
import { keys } from "./keys.ts";
import type { Report } from "./redis.ts";

/** A crashed worker's jobs are taken up again within lock + check: 20 s. */
const LOCK_MS = 15_000;
const STALLED_CHECK_MS = 5_000;
const RENEW_MS = 5_000;
/** A renewal that has failed for this long means that the lock may be gone: two thirds of it. */
const SELF_FENCE_MS = 10_000;
/** BullMQ must never fail a stalled job by itself: deaths are counted at claim. */
const STALLS_ALLOWED = 1_000_000;
/** One blocking wait for a job: less than the connection gives any command, and no job is lost. */
const BLOCK_SECONDS = 2;
/** Jobs fetched side by side: BullMQ hands out one per round trip. */
const FETCH_LIMIT = 16;
const RETRY_MS = 500;

/** What the intake asks of the worker. */
export interface Slots {
  /** Resolves once at least one slot is free, with their number; 0 when the signal is aborted. */
  readonly whenFree: (signal: AbortSignal) => Promise<number>;
  /** Take an attempt into a slot. Must not throw. */
  readonly start: (attempt: Attempt) => void;
  /** The lock of a job in a slot is lost: another worker may have it already. */
  readonly onLockLost: (job: JobId) => void;
}

interface Held {
  readonly job: Job;
  readonly token: string;
  renewedAtMs: number;
}

/**
 * Takes jobs from a model version's queue into the worker's slots.
 *
 * BullMQ schedules, the ledger decides: a job is fetched and locked through BullMQ, then claimed in
 * the ledger. One puller waits for the queue; as long as slots are free and jobs come, it fetches
 * as many side by side as came the time before, doubled. Jobs fetched by hand are not renewed by
 * BullMQ, so their locks are renewed here.
 */
export class Intake {
  readonly #redis: Redis;
  readonly #bull: Worker;
  readonly #holder: { readonly code: ModelCode; readonly version: string; readonly worker: string };
  readonly #slots: Slots;
  readonly #report: Report;
  readonly #held = new Map<JobId, Held>();
  readonly #renewal: NodeJS.Timeout;
  #fetches: Promise<boolean[]> = Promise.resolve([]);
  readonly #admissions = new Set<Promise<void>>();
  #tokens = 0;

  constructor(
    redis: Redis,
    holder: { readonly code: ModelCode; readonly version: string; readonly worker: string },
    wiring: { readonly slots: Slots; readonly report: Report },
  ) {
    this.#redis = redis;
    this.#holder = holder;
    this.#slots = wiring.slots;
    this.#report = wiring.report;
    this.#bull = new Worker(holder.version, null, {
      connection: redis,
      prefix: keys.queuePrefix(holder.code),
      autorun: false,
      skipVersionCheck: true,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: STALLS_ALLOWED,
      drainDelay: BLOCK_SECONDS,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    this.#bull.on("error", this.#report);
    this.#renewal = setInterval(() => void this.#renew(), RENEW_MS);
  }

  /** Pull until the signal is aborted. Nothing starts after that. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#bull.startStalledCheckTimer();
    const { promise: aborted, resolve } = Promise.withResolvers<boolean[]>();
    signal.addEventListener("abort", () => resolve([]), { once: true });
    let ask = 1;
    let isQueueEmpty = false;
    while (!signal.aborted) {
      const slots = await this.#slots.whenFree(signal);
      if (slots === 0) return;
      const free = slots - this.#admissions.size;
      if (free <= 0) {
        await Promise.race(this.#admissions);
        continue;
      }
      const count: number = isQueueEmpty ? 1 : Math.min(ask, free, FETCH_LIMIT);
      this.#fetches = Promise.all(
        Array.from({ length: count }, () => this.#fetch({ block: isQueueEmpty }, signal)),
      );
      // A wait for the queue cannot be broken off, only left behind: what it brings is handed back.
      const fetched: boolean[] = await Promise.race([this.#fetches, aborted]);
      const wasWaiting = isQueueEmpty;
      isQueueEmpty = fetched.includes(false);
      // A job that was waited for most often came alone.
      ask = isQueueEmpty || wasWaiting ? 1 : ask * 2;
    }
  }

  /** The ledger has this job's end: take it off the queue. */
  async acknowledge(job: JobId): Promise<void> {
    const held = this.#take(job);
    if (held === null) return;
    try {
      await held.job.moveToCompleted(null, held.token, false);
    } catch (error) {
      // Locked by another worker, or gone: whoever has it finds that it ended, or the sweep does.
      this.#report(new Error(`acknowledging ${job} is left to the sweep`, { cause: error }));
    }
  }

  /** The ledger has this job queued again: put it back, and wake a worker that waits for one. */
  async handBack(job: JobId): Promise<void> {
    const held = this.#take(job);
    if (held === null) return;
    try {
      await held.job.moveToWait(held.token);
      await this.#wakeIdleWorker();
    } catch (error) {
      // The lock runs out, and the stalled check puts the job back instead.
      this.#report(new Error(`handing back ${job} is left to its lock`, { cause: error }));
    }
  }

  /** Forget a job whose lock is another worker's now. */
  forget(job: JobId): void {
    this.#held.delete(job);
  }

  /** Stop renewing and close BullMQ's side. Jobs still held are taken up when their locks end. */
  async close(): Promise<void> {
    clearInterval(this.#renewal);
    // Closing by force: we wait for our own jobs ourselves, BullMQ knows of none.
    await this.#bull.close(true);
    await this.#fetches;
    await Promise.all(this.#admissions);
  }

  #take(job: JobId): Held | null {
    const held = this.#held.get(job) ?? null;
    this.#held.delete(job);
    return held;
  }

  /** Fetch and claim one job. @returns false when the queue had none */
  async #fetch({ block }: { block: boolean }, signal: AbortSignal): Promise<boolean> {
    this.#tokens += 1;
    const token = `${this.#holder.worker}:${this.#tokens}`;
    try {
      const job = await this.#bull.getNextJob(token, { block });
      if (!job) return false;
      this.#admit(job, token, signal);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      this.#report(new Error("fetching a job, to be repeated", { cause: error }));
      await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      return false;
    }
  }

  /** Claim a job without holding up the next fetch: both travel to Redis together. */
  #admit(job: Job, token: string, signal: AbortSignal): void {
    const admission = (job.deferredFailure ? giveUp(job, token) : this.#claim(job, token, signal))
      .catch(this.#report)
      .finally(() => this.#admissions.delete(admission));
    this.#admissions.add(admission);
  }

  async #claim(job: Job, token: string, signal: AbortSignal): Promise<void> {
    const id = jobIdSchema.parse(job.id);
    this.#held.set(id, { job, token, renewedAtMs: performance.now() });
    if (signal.aborted) return this.handBack(id);
    const claimed = await insist(() => claimJob(this.#redis, id, token), this.#report);
    switch (claimed) {
      case "absent":
        // Never acknowledge what the ledger does not know: its entry may only be late. The pause
        // keeps the job from going round and round until the sweep has judged it.
        await delay(RETRY_MS);
        return this.handBack(id);
      case "ended":
      case "expired":
      case "failed":
        return this.acknowledge(id);
      default:
        this.#slots.start(claimed);
    }
  }

  /** BullMQ's `moveToWait` of a prioritized job wakes nobody: an idle worker would sleep on. */
  async #wakeIdleWorker(): Promise<void> {
    const { code, version } = this.#holder;
    await this.#redis.zadd(keys.queue(code, version, "marker"), 0, "0");
  }

  async #renew(): Promise<void> {
    const held = [...this.#held.entries()];
    if (held.length === 0) return;
    let lost: readonly string[] = [];
    try {
      lost = await this.#bull.extendJobLocks(
        held.map(([id]) => id),
        held.map(([, { token }]) => token),
        LOCK_MS,
      );
      const nowMs = performance.now();
      for (const [id, job] of held) if (!lost.includes(id)) job.renewedAtMs = nowMs;
    } catch (error) {
      this.#report(new Error("renewing locks, to be repeated", { cause: error }));
      const tooOldMs = performance.now() - SELF_FENCE_MS;
      lost = held.filter(([, job]) => job.renewedAtMs < tooOldMs).map(([id]) => id);
    }
    for (const id of jobIdSchema.array().parse(lost)) {
      if (this.#held.delete(id)) this.#slots.onLockLost(id);
    }
  }
}

/** BullMQ has given the job up, the ledger has not: the sweep adds it afresh. */
async function giveUp(job: Job, token: string): Promise<void> {
  await job.moveToFailed(new UnrecoverableError(job.deferredFailure), token, false);
}
