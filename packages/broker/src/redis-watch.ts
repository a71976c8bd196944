import { setTimeout as delay } from "node:timers/promises";

import { PlatformError, type Durability } from "@headrace/contract";
import type { Redis } from "ioredis";

import { assertAlwaysSynced, assertKeeping, isAnswering, readReplicas } from "./fitness.ts";
import { readInfo } from "./redis-info.ts";
import type { Report } from "./redis.ts";

/**
 * From here on no job is taken in: what is left is for the output and the ends of those that are.
 * A Redis that is full refuses a worker's writes as it refuses a submit's, and then nothing moves.
 */
const SUBMIT_MARK = 0.7;
/** From here on no job is started, so that those that run can end. */
const CLAIM_MARK = 0.85;

/** How often Redis is asked. */
const READ_MS = 1_000;
/** As many digits of a run's id as the scripts keep. */
const RUN_LENGTH = 8;
/** What a job takes beside its request, bytes: ledger, lists and queue, rounded up. Also in lua/include/stored.lua. */
const JOB_OVERHEAD_BYTES = 2_500;
/** An allocator's size classes waste up to a quarter of what is asked for. */
const ALLOCATION_FACTOR = 1.25;

/** What a request takes of Redis' memory, bytes. */
export function bytesOfRequest(requestBytes: number): number {
  return Math.ceil(requestBytes * ALLOCATION_FACTOR);
}

/**
 * Knows how full Redis is, and whether it is fit to hold jobs, as of at most a second ago. What this
 * process has put in since counts as well: a flood is not let through between two readings.
 */
export class RedisWatch {
  readonly #redis: Redis;
  readonly #report: Report;
  readonly #durability: Durability | null;
  readonly #timer: NodeJS.Timeout;
  readonly #read = (): void => void this.#readNow();
  #usedBytes = 0;
  /** 0 = Redis has no limit. */
  #limitBytes = 0;
  #readings = 0;
  #unfitness: PlatformError | null = null;
  #run = "";
  readonly #forgetRun = (): void => void (this.#run = "");

  /**
   * Read at once, each second, and whenever the connection comes back, until closed.
   *
   * @param durability what Redis must be fit for; null where no jobs are taken in
   */
  constructor(redis: Redis, report: Report, durability: Durability | null = null) {
    this.#durability = durability;
    this.#redis = redis;
    this.#report = report;
    this.#timer = setInterval(this.#read, READ_MS);
    redis.on("close", this.#forgetRun);
    redis.on("ready", this.#read);
    if (redis.status === "ready") this.#read();
  }

  /** Which run of which Redis answers, as its scripts spell it; "" until it has said so. */
  get run(): string {
    return this.#run;
  }

  /** Memory in use over `maxmemory`; 0 while there is no limit, or nothing is known yet. */
  get fullness(): number {
    return this.#limitBytes === 0 ? 0 : this.#usedBytes / this.#limitBytes;
  }

  /**
   * Refuse jobs while Redis is not fit to hold them: its settings may change while it serves.
   *
   * @throws PlatformError `queue_unavailable` with what was found as its cause
   */
  assertFit(): void {
    if (this.#unfitness === null) return;
    const message = "the queue is not fit to hold jobs; try again shortly";
    throw new PlatformError("queue_unavailable", message, { cause: this.#unfitness });
  }

  /** Whether there is room for jobs that are taken in. */
  get isAdmitting(): boolean {
    return this.fullness < SUBMIT_MARK;
  }

  /**
   * What one tenant's jobs may take, bytes, now that Redis is as full as it is: a share of what they
   * take and what is free together. So one that has taken most leaves room for another, and two for a
   * third, whatever each of them tries.
   *
   * @param share above 0; 1 for no limit
   * @returns null while no tenant can have more
   */
  mostOfTenant(share: number): number | null {
    const admitted = SUBMIT_MARK * this.#limitBytes;
    if (this.#limitBytes === 0 || share >= 1 || this.#usedBytes <= share * admitted) return null;
    return Math.max(0, Math.floor(((admitted - this.#usedBytes) * share) / (1 - share)));
  }

  /**
   * Count a job that is being taken in, until the next reading does.
   *
   * @returns takes it back: the job was refused
   */
  countJob(requestBytes: number): () => void {
    const bytes = bytesOfRequest(requestBytes) + JOB_OVERHEAD_BYTES;
    const reading = this.#readings;
    this.#usedBytes += bytes;
    return () => {
      if (this.#readings === reading) this.#usedBytes -= bytes;
    };
  }

  /** Wait until jobs may be started, or the signal is aborted. */
  async whenStartable(signal: AbortSignal): Promise<void> {
    while (this.fullness >= CLAIM_MARK && !signal.aborted) {
      this.#report(
        new Error(`Redis is ${CLAIM_MARK * 100} % full: jobs that run end, none is started`),
      );
      await delay(READ_MS, undefined, { signal }).catch(() => {});
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#redis.off("close", this.#forgetRun);
    this.#redis.off("ready", this.#read);
  }

  async #readNow(): Promise<void> {
    if (this.#redis.status !== "ready") return;
    try {
      const info = await readInfo(this.#redis, "server", "memory", "replication");
      this.#run = (info.get("run_id") ?? "").slice(0, RUN_LENGTH);
      this.#usedBytes = Number(info.get("used_memory") ?? 0);
      this.#limitBytes = Number(info.get("maxmemory") ?? 0);
      this.#readings += 1;
      if (this.#durability === null) return;
      this.#unfitness = await this.#judge(info, this.#durability);
      if (this.#unfitness !== null) {
        this.#report(new Error(`no job is taken in: ${this.#unfitness.message}`));
      } else if (this.#durability === "replicated" && !readReplicas(info).some(isAnswering)) {
        this.#report(new Error("no replica confirms jobs: submits are refused"));
      }
    } catch (error) {
      this.#report(new Error("reading Redis' state, to be repeated", { cause: error }));
    }
  }

  async #judge(
    info: ReadonlyMap<string, string>,
    durability: Durability,
  ): Promise<PlatformError | null> {
    try {
      assertKeeping(info);
      if (durability === "redis-always") await assertAlwaysSynced(this.#redis);
      return null;
    } catch (error) {
      if (error instanceof PlatformError) return error;
      throw error;
    }
  }
}
