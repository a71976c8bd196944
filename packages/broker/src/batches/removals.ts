import type { Redis } from "ioredis";
import { z } from "zod";

import { readRedisMs } from "../clock.ts";
import { guard } from "../guard.ts";
import { keys } from "../keys.ts";
import { script } from "../script.ts";
import { FILE_OBJECTS } from "./file-record.ts";

const expire = script("file-expire", z.int());

/**
 * How long an object may take to be stored: longer than any upload or assembly does. What is not
 * entered as a file by then is swept.
 */
const UNDER_WAY_MS = 24 * 3_600_000;

/**
 * Which objects are to be removed from storage, and when. An object is written down here before it
 * is stored and taken out in the step that makes a record of it, so that none is left over whatever
 * dies in between, and storage need never be listed to find out. All calls fail with
 * `queue_unavailable` while Redis is away.
 */
export class Removals {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Say that an object is about to be stored, or stored anew: within 24 hours from the last time this
   * was said it must be entered, else it is removed.
   */
  async plan(object: string): Promise<void> {
    const dueAtMs = (await guard(readRedisMs(this.#redis))) + UNDER_WAY_MS;
    await guard(this.#redis.zadd(keys.removals, dueAtMs, object));
  }

  /** Delete files whose time is over and that no open batch needs. @returns how many, of `most` */
  async expireFiles(most: number): Promise<number> {
    const args = [keys.batchSlot, FILE_OBJECTS, most];
    return guard(expire(this.#redis, [keys.fileExpiry], args));
  }

  /**
   * Objects that are to be removed now, the longest due first. One that ends in `/` stands for all
   * objects that begin with it.
   */
  async listDue(most: number): Promise<string[]> {
    const nowMs = await guard(readRedisMs(this.#redis));
    return guard(this.#redis.zrangebyscore(keys.removals, "-inf", nowMs, "LIMIT", 0, most));
  }

  /** Say that an object is removed, or was never stored. */
  async forget(object: string): Promise<void> {
    await guard(this.#redis.zrem(keys.removals, object));
  }
}
