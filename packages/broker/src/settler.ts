import type { ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";

import type { ModelRegistry } from "./model-registry.ts";
import { readOutbox, trimOutbox, type EndedJob } from "./outbox.ts";
import type { Report } from "./redis.ts";
import { takeSlot } from "./slot-lease.ts";

/** Ended jobs read at once: some 0.2 MB, and less than a millisecond of Redis to settle. */
const PAGE = 200;
/** Pages of one outbox in one pass: what is left keeps no other model waiting for long. */
const PAGES_PER_PASS = 10;
/** While jobs end: how long one that has waits at the most. */
const BUSY_MS = 200;
/** While none does, or Redis is away. */
const IDLE_MS = 1_000;

/**
 * Takes what ended jobs leave to be done: counting their usage, say.
 *
 * It is given the jobs of one model in the order they ended, at least once each: after a failure, or
 * when two ingresses take turns, the same jobs come again. It must do with each once only, and once
 * it has resolved the jobs may never come again. While it rejects, nothing of that model is settled.
 */
export interface EndTaker {
  /** Whether it wants the rests of jobs that it was given before, too. */
  readonly takesRests?: boolean;
  readonly take: (code: ModelCode, jobs: readonly EndedJob[]) => Promise<void>;
}

/** What the settler works with. */
export interface SettlerTools {
  readonly redis: Redis;
  readonly models: ModelRegistry;
  /** In the order in which they are given the jobs. */
  readonly takers: readonly EndTaker[];
  readonly report: Report;
}

/**
 * Does what comes after the end of jobs: reads each model's outbox, gives the jobs to every taker,
 * and only then removes them.
 *
 * One ingress at a time looks after a slot, under the sweep's lease. One that dies, or loses its
 * lease half-way, leaves the rest to the next.
 */
export class Settler {
  readonly #tools: SettlerTools;
  readonly #ingress: string;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;
  #hasFailed = false;
  #pass: Promise<void> = Promise.resolve();

  constructor(tools: SettlerTools, ingress: string) {
    this.#tools = tools;
    this.#ingress = ingress;
  }

  /** Settle until stopped: five times a second while jobs end, else each second. */
  start(): void {
    this.#timer = setTimeout(() => (this.#pass = this.#goRound()), BUSY_MS);
  }

  /** Stop, and wait for the pass under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#pass;
  }

  /** Make one pass over every slot that no other process looks after. @returns jobs settled */
  async run(): Promise<number> {
    const models = await this.#tools.models.list();
    const codes = new Set([...models.values()].map(({ code }) => code));
    const counts = await Promise.all([...codes].map((code) => this.#settle(code)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #goRound(): Promise<void> {
    let settled = 0;
    try {
      settled = await this.run();
      this.#hasFailed = false;
    } catch (error) {
      // Once: a Redis that is away is away for many passes.
      if (!this.#hasFailed) {
        this.#tools.report(new Error("settling ended jobs, to be repeated", { cause: error }));
      }
      this.#hasFailed = true;
    }
    if (this.#isStopped) return;
    const pauseMs = settled > 0 ? BUSY_MS : IDLE_MS;
    this.#timer = setTimeout(() => (this.#pass = this.#goRound()), pauseMs);
  }

  async #settle(code: ModelCode): Promise<number> {
    const { redis, report, takers } = this.#tools;
    if (!(await takeSlot(redis, code, this.#ingress))) return 0;
    let settled = 0;
    for (let page = 0; page < PAGES_PER_PASS; page += 1) {
      const { jobs, isFull, last } = await readOutbox(redis, code, { limit: PAGE, report });
      if (last === null) break;
      for (const taker of takers) {
        const taken = taker.takesRests === true ? jobs : jobs.filter(({ isRest }) => !isRest);
        if (taken.length > 0) await taker.take(code, taken);
      }
      await trimOutbox(redis, code, last);
      settled += jobs.length;
      if (!isFull) break;
    }
    return settled;
  }
}
