import { setTimeout as delay } from "node:timers/promises";

import { jobIdSchema, type JobId } from "@headrace/contract";
import { UnrecoverableError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";

import { claimJob, type Attempt, type Claim, type Unclaimable } from "./claim.ts";
import { insist, type Insistence } from "./insist.ts";
import { renewLocks } from "./job-locks.ts";
import { QUEUE_CLASSES } from "./job-queue.ts";
import { keys } from "./keys.ts";
import { LaterJobs } from "./later-jobs.ts";
import type { Report } from "./redis.ts";
import { BLOCK_SECONDS, WaitingJobs, type Waiting } from "./waiting-jobs.ts";
import type { Holder } from "./worker-presence.ts";

/** A crashed worker's jobs are taken up again within lock + check: 20 s. */
const LOCK_MS = 15_000;
const STALLED_CHECK_MS = 5_000;
const RENEW_MS = 5_000;
/** A renewal that has failed for this long means that the lock may be gone: two thirds of it. */
const SELF_FENCE_MS = 10_000;
/** BullMQ must never fail a stalled job by itself: deaths are counted at claim. */
const STALLS_ALLOWED = 1_000_000;
/** There may be a job of any kind. */
const PERHAPS_ONE: Waiting = { others: 1, batch: 0 };
const NONE: Waiting = { others: 0, batch: 0 };
/** Jobs fetched side by side: BullMQ hands out one per round trip. */
const FETCH_LIMIT = 16;
const RETRY_MS = 500;
/** An entry is accepted before its job is queued: one that is not there after this never will be. */
const FORGOTTEN_MS = 60_000;
/** How long closing waits for what is under way. */
const CLOSE_MS = 1_000;

/** What the intake asks of the worker. */
export interface Slots {
  /** Resolves once at least one slot is free, with their number; 0 when the signal is aborted. */
  readonly whenFree: (signal: AbortSignal) => Promise<number>;
  /** Slots that are free now. */
  readonly countFree: () => number;
  /** Take an attempt into a slot; false to have it handed back. Must not throw. */
  readonly start: (attempt: Attempt) => boolean;
  /** The lock of a job in a slot is lost: another worker may have it already. */
  readonly onLockLost: (job: JobId) => void;
  /** What limits batch work beyond the slots; left out where nothing does. */
  readonly batch?: BatchSlots;
}

/** Of the free slots, those that batch work may have. */
export interface BatchSlots {
  readonly countFree: () => number;
  /** Resolves once there is one, or the signal is aborted. */
  readonly whenFree: (signal: AbortSignal) => Promise<void>;
}

/** Gives back a claim that cannot be followed: it came too late, or its job cannot be read. */
export interface Declining {
  readonly decline: (claim: Claim) => Promise<void>;
}

/** The worker in whose name jobs are taken. */
export interface Taker extends Holder {
  /** Whether its engine can go on from token ids. */
  readonly hasTokenIds: boolean;
}

/** One fetch of one job. */
type Hold = Pick<Attempt, "job" | "token">;

interface Held {
  readonly job: Job;
  readonly token: string;
  renewedAtMs: number;
}

/**
 * Takes jobs from a model version's queue into the worker's slots.
 *
 * BullMQ schedules, the ledger decides: a job is fetched and locked through BullMQ, then claimed in
 * the ledger. One puller waits for the queue's marker, fetches a job, and learns with it how many
 * are left: as many as have a free slot are then fetched side by side. Jobs fetched by hand are not
 * renewed by BullMQ, so their locks are renewed here.
 */
export class Intake {
  readonly #redis: Redis;
  readonly #bull: Worker;
  readonly #holder: Taker;
  readonly #slots: Slots & Declining;
  readonly #insistence: Insistence;
  readonly #report: Report;
  readonly #held = new Map<JobId, Held>();
  readonly #renewal: NodeJS.Timeout;
  #fetches: Promise<boolean[]> = Promise.resolve([]);
  readonly #admissions = new Set<Promise<void>>();
  /** Each is one of the admissions, too. */
  readonly #laterJobs: LaterJobs;
  /** Admissions of batch work. */
  #admittingBatch = 0;
  readonly #waiting: WaitingJobs;
  #tokens = 0;

  constructor(
    connections: { readonly redis: Redis; readonly blocking: Redis },
    holder: Taker,
    wiring: { readonly slots: Slots & Declining; readonly insistence: Insistence },
  ) {
    const { redis } = connections;
    this.#redis = redis;
    this.#waiting = new WaitingJobs(connections, holder);
    this.#holder = holder;
    this.#slots = wiring.slots;
    this.#insistence = wiring.insistence;
    this.#report = wiring.insistence.report;
    this.#laterJobs = new LaterJobs(this.#report);
    this.#bull = new Worker(holder.version, null, {
      connection: redis,
      prefix: keys.queuePrefix(holder.code),
      autorun: false,
      skipVersionCheck: true,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: STALLS_ALLOWED,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    this.#bull.on("error", this.#report);
    this.#renewal = setInterval(() => void this.#renew(), RENEW_MS);
  }

  /** Pull until the signal is aborted. A job fetched or claimed after that is handed back. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#bull.startStalledCheckTimer();
    let left = PERHAPS_ONE;
    while (!signal.aborted) {
      await this.#laterJobs.whenDone(signal);
      const slots = await this.#slots.whenFree(signal);
      if (slots === 0) return;
      const free = slots - this.#admitting;
      if (free <= 0) {
        await unlessAborted(Promise.race(this.#admissions), signal);
        continue;
      }
      const takeable = left.others + Math.min(left.batch, this.#countBatchFree());
      if (takeable === 0) {
        left = await this.#awaitJobs(signal);
        continue;
      }
      const count: number = Math.min(takeable, free, FETCH_LIMIT);
      // What a fetch that is left behind brings is handed back.
      left = (await unlessAborted(this.#fetchSome(count, signal), signal)) ?? NONE;
    }
  }

  /** The ledger has this job's end: take it off the queue. */
  async acknowledge(hold: Hold): Promise<void> {
    const held = this.#take(hold);
    if (held === null) return;
    try {
      await held.job.moveToCompleted(null, held.token, false);
    } catch (error) {
      // Locked by another worker, or gone: whoever has it finds that it ended, or the sweep does.
      this.#report(new Error(`acknowledging ${hold.job} is left to the sweep`, { cause: error }));
    }
  }

  /** The ledger has this job queued again: put it back, and wake a worker that waits for one. */
  async handBack(hold: Hold): Promise<void> {
    const held = this.#take(hold);
    if (held === null) return;
    try {
      await held.job.moveToWait(held.token);
      await this.#waiting.wake();
    } catch (error) {
      // The lock runs out, and the stalled check puts the job back instead.
      this.#report(new Error(`handing back ${hold.job} is left to its lock`, { cause: error }));
    }
  }

  /** Forget a job whose lock is another worker's now. */
  forget(hold: Hold): void {
    this.#take(hold);
  }

  /** Wait for fetches and claims that were under way when the signal was aborted, for a second at most. */
  async settle(): Promise<void> {
    const underway = async (): Promise<void> => {
      await this.#fetches;
      await Promise.all(this.#admissions);
    };
    await Promise.race([underway(), delay(CLOSE_MS, undefined, { ref: false })]);
  }

  /**
   * Stop renewing and close BullMQ's side, after `settle`. Jobs still held are taken up when their
   * locks end.
   */
  async close(): Promise<void> {
    clearInterval(this.#renewal);
    // Closing by force: we wait for our own jobs ourselves, BullMQ knows of none.
    await this.#bull.close(true);
    // What ends after this has nobody to tell it to.
    this.#held.clear();
  }

  /** Claims under way, each of which may take a slot. */
  get #admitting(): number {
    return this.#admissions.size - this.#laterJobs.aside;
  }

  /** By the fetch, not by the job alone: the same worker may have fetched the job again. */
  #take({ job, token }: Hold): Held | null {
    const held = this.#held.get(job);
    if (held?.token !== token) return null;
    this.#held.delete(job);
    return held;
  }

  /** Batch work that may start now, less what is about to. */
  #countBatchFree(): number {
    const free = this.#slots.batch?.countFree() ?? Number.POSITIVE_INFINITY;
    return Math.max(0, free - this.#admittingBatch);
  }

  /** Wait until the queue may have a job that may start. @returns what is known of it then */
  async #awaitJobs(signal: AbortSignal): Promise<Waiting> {
    const { batch } = this.#slots;
    if (batch === undefined || this.#countBatchFree() > 0) {
      await unlessAborted(this.#awaitMarker(signal), signal);
      return this.#countBatchFree() > 0 ? PERHAPS_ONE : this.#countBacklog();
    }
    // What comes after this count is told of.
    const before = await this.#countBacklog();
    if (before.others > 0) return before;
    const isAdmitting = this.#admittingBatch > 0;
    const room = isAdmitting ? Promise.race(this.#admissions) : batch.whenFree(signal);
    await unlessAborted(Promise.race([room, this.#awaitOthers(signal)]), signal);
    return this.#countBacklog();
  }

  async #awaitOthers(signal: AbortSignal): Promise<void> {
    try {
      await this.#waiting.whenOthers();
      if (signal.aborted || this.#slots.countFree() === 0) await this.#waiting.wakePicky();
    } catch (error) {
      if (signal.aborted) return;
      this.#report(new Error("waiting for a job, to be repeated", { cause: error }));
      await delay(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Wait until the queue may have a job, for two seconds at the most. */
  async #awaitMarker(signal: AbortSignal): Promise<void> {
    try {
      const marker = await this.#bull.backend.waitForJob(BLOCK_SECONDS);
      // Whoever cannot follow it leaves it to another: the engine may have filled up meanwhile.
      const isFree = !signal.aborted && !this.#laterJobs.isYielding && this.#slots.countFree() > 0;
      if (marker !== null && !isFree) await this.#waiting.wake();
    } catch (error) {
      if (signal.aborted) return;
      this.#report(new Error("waiting for a job, to be repeated", { cause: error }));
      await delay(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Fetch jobs side by side. @returns how many are left in the queue; none when it gave none */
  async #fetchSome(count: number, signal: AbortSignal): Promise<Waiting> {
    this.#fetches = Promise.all(Array.from({ length: count }, () => this.#fetch(signal)));
    const fetched = await this.#fetches;
    const left = await this.#countBacklog();
    // A paused queue has jobs and gives none: asking on would go round at full speed.
    return fetched.includes(true) ? left : NONE;
  }

  async #countBacklog(): Promise<Waiting> {
    const hasRoom = this.#slots.countFree() > this.#admitting;
    const room = this.#countBatchFree() > 0 ? "any" : "others";
    try {
      return await this.#waiting.count(hasRoom ? room : "none");
    } catch (error) {
      this.#report(new Error("counting a queue, to be repeated", { cause: error }));
      return PERHAPS_ONE;
    }
  }

  /** Fetch and claim one job. @returns false when the queue had none */
  async #fetch(signal: AbortSignal): Promise<boolean> {
    this.#tokens += 1;
    const token = `${this.#holder.worker}:${this.#tokens}`;
    try {
      const job = await this.#bull.getNextJob(token, { block: false });
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

  /** Claim a job without holding up the next fetch. */
  #admit(job: Job, token: string, signal: AbortSignal): void {
    const batch = job.priority === QUEUE_CLASSES.batch ? 1 : 0;
    this.#admittingBatch += batch;
    const admission = (job.deferredFailure ? giveUp(job, token) : this.#claim(job, token, signal))
      .catch(this.#report)
      .finally(() => {
        this.#admissions.delete(admission);
        this.#admittingBatch -= batch;
      });
    this.#admissions.add(admission);
  }

  async #claim(job: Job, token: string, signal: AbortSignal): Promise<void> {
    const hold = { job: jobIdSchema.parse(job.id), token };
    this.#held.set(hold.job, { job, token, renewedAtMs: performance.now() });
    if (signal.aborted) return this.handBack(hold);
    try {
      const { code, version, hasTokenIds } = this.#holder;
      const lock = keys.lock(code, version, hold.job);
      const claimant = { token, version, hasTokenIds, lock };
      const claimed = await insist(
        () => claimJob(this.#redis, hold.job, claimant),
        this.#insistence,
      );
      if (typeof claimed !== "object") await this.#dismiss(hold, claimed, job.timestamp);
      else if ("spec" in claimed) await this.#start(claimed, signal);
      else await this.#leaveToOthers(claimed, signal);
    } catch (error) {
      // Its lock is renewed no more, so another worker takes it, and the claim counts what it costs.
      this.forget(hold);
      throw error;
    }
  }

  async #start(attempt: Attempt, signal: AbortSignal): Promise<void> {
    const isTaken = !signal.aborted && this.#slots.start(attempt);
    if (!isTaken) await this.#slots.decline(attempt);
  }

  /** A worker of the version that made the job can run it. */
  async #leaveToOthers(claim: Claim, signal: AbortSignal): Promise<void> {
    await this.#laterJobs.keep(claim.job, () => this.#slots.decline(claim), signal);
  }

  /** Let go of a job that needs no work. */
  async #dismiss(hold: Hold, reason: Unclaimable, queuedAtMs: number): Promise<void> {
    if (reason === "unlocked") return this.forget(hold);
    if (reason !== "absent" || queuedAtMs < Date.now() - FORGOTTEN_MS) {
      return this.acknowledge(hold);
    }
    // Not acknowledged while its entry may only be late. The pause keeps it from going round.
    await delay(RETRY_MS);
    return this.handBack(hold);
  }

  async #renew(): Promise<void> {
    const held = [...this.#held.entries()];
    if (held.length === 0) return;
    let lost: readonly string[] = [];
    try {
      const tokens = held.map(([id, { token }]) => ({ job: id, token }));
      lost = await renewLocks(this.#redis, this.#holder, { held: tokens, ms: LOCK_MS });
      const nowMs = performance.now();
      for (const [id, job] of held) if (!lost.includes(id)) job.renewedAtMs = nowMs;
    } catch (error) {
      this.#report(new Error("renewing locks, to be repeated", { cause: error }));
      const tooOldMs = performance.now() - SELF_FENCE_MS;
      lost = held.filter(([, job]) => job.renewedAtMs < tooOldMs).map(([id]) => id);
    }
    for (const [id, hold] of held) {
      if (!lost.includes(id) || this.#held.get(id) !== hold) continue;
      this.#held.delete(id);
      this.#slots.onLockLost(id);
    }
  }
}

/** BullMQ has given the job up, the ledger has not: the sweep adds it afresh. */
async function giveUp(job: Job, token: string): Promise<void> {
  await job.moveToFailed(new UnrecoverableError(job.deferredFailure), token, false);
}

/** Wait for a promise, but no longer than until the signal is aborted; undefined then. */
async function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value | undefined> {
  if (signal.aborted) return undefined;
  // A listener for each wait: one promise for all would keep a reaction for every wait there was.
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const stop = (): void => resolve(undefined);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
