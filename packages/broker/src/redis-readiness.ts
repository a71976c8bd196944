import { PlatformError, type Durability } from "@headrace/contract";
import type { Redis } from "ioredis";

import { assertAlwaysSynced, assertFit, assertReplicated } from "./fitness.ts";
import { guard } from "./guard.ts";
import { whenReady, type Report } from "./redis.ts";

/** Tells whether Redis is there, and fit for what this process promises of jobs. */
export class Readiness {
  readonly #redis: Redis;
  readonly #durability: Durability;
  readonly #report: Report;
  /** Said once: readiness is asked for every few seconds. */
  #hasWarned = false;
  /** Of the connection, since it last served; undefined when there is none. */
  #lastFailure: Error | undefined;

  constructor(redis: Redis, durability: Durability, report: Report) {
    this.#redis = redis;
    this.#durability = durability;
    this.#report = report;
    redis.on("error", (error) => (this.#lastFailure = error));
    redis.on("ready", () => (this.#lastFailure = undefined));
  }

  /**
   * Wait for Redis and check that it is fit to hold jobs.
   *
   * @throws PlatformError `queue_unavailable` when it is not there in time, evicts keys, or does
   *   not sync its file as the durability level promises
   */
  async assertReady(timeoutMs: number): Promise<void> {
    await this.#whenReached(timeoutMs);
    await assertFit(this.#redis);
    if (this.#durability !== "redis-always") return;
    if ((await assertAlwaysSynced(this.#redis)) || this.#hasWarned) return;
    this.#hasWarned = true;
    this.#report(new Error("Redis does not tell its appendfsync policy: see that it is always"));
  }

  /** What the error says may be told to anybody; where Redis is, only its cause does. */
  async #whenReached(timeoutMs: number): Promise<void> {
    try {
      await whenReady(this.#redis, timeoutMs);
    } catch (cause) {
      throw new PlatformError("queue_unavailable", "Redis cannot be reached", { cause });
    }
  }

  /** Check for a replica, where submits need one. It may come and go: no reason not to start. */
  async assertConfirmable(): Promise<void> {
    if (this.#durability === "replicated") await guard(assertReplicated(this.#redis));
  }

  /** @throws PlatformError `queue_unavailable` with what keeps Redis away as its cause */
  assertConnected(): void {
    if (this.#redis.status === "ready") return;
    const message = "the connection to Redis is lost";
    throw new PlatformError("queue_unavailable", message, { cause: this.#lastFailure });
  }
}
