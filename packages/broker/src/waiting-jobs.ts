import type { ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { MARK } from "./job-queue.ts";
import { keys } from "./keys.ts";
import { script } from "./script.ts";

const backlog = script("backlog", z.tuple([z.int(), z.int()]));

/** One wait for a job. Whoever was not woken in spite of a job finds it after this. */
export const BLOCK_SECONDS = 2;
/** How long a worker that waits counts as waiting: one wait, and the way to the next. */
const IDLE_MS = 2_500;

/** How many jobs wait in a queue. */
export interface Waiting {
  readonly batch: number;
  /** All that is not batch work. */
  readonly others: number;
}

/** What a worker has room for. */
export type Room = "any" | "others" | "none";

/**
 * What waits in a model version's queue, and word of it.
 *
 * BullMQ's marker tells of any job. A worker that has room, but none for batch work just now, would
 * find it standing as long as batch work waits; it waits for a mark of its own instead, which is set
 * for other jobs alone, and only while someone waits for it.
 */
export class WaitingJobs {
  readonly #redis: Redis;
  readonly #blocking: Redis;
  readonly #code: ModelCode;
  readonly #version: string;
  #wait: Promise<void> | null = null;
  /** A mark was taken that nobody has been told of yet. */
  #hasWord = false;

  constructor(
    connections: { readonly redis: Redis; readonly blocking: Redis },
    { code, version }: { readonly code: ModelCode; readonly version: string },
  ) {
    this.#redis = connections.redis;
    this.#blocking = connections.blocking;
    this.#code = code;
    this.#version = version;
  }

  /** Count them, and let it be known what this worker waits for. */
  async count(room: Room): Promise<Waiting> {
    const [code, version] = [this.#code, this.#version];
    const lists = ["wait", "prioritized", "marker"].map((name) => keys.queue(code, version, name));
    const [others, batch] = await backlog(
      this.#redis,
      [...lists, keys.idle(code, version), keys.picky(code, version)],
      [room, IDLE_MS],
    );
    return { others, batch };
  }

  /**
   * Wait until a job may have come that is not batch work, for two seconds at the most. Whoever
   * counted with room for others before this is told of each that came after the count.
   */
  async whenOthers(): Promise<void> {
    if (!this.#hasWord) await (this.#wait ??= this.#takeMark());
    this.#hasWord = false;
  }

  /** Wake a worker that waits: BullMQ's `moveToWait` of a prioritized job wakes nobody. */
  async wake(): Promise<void> {
    const marker = keys.queue(this.#code, this.#version, "marker");
    await Promise.all([this.#redis.zadd(marker, 0, MARK), this.wakePicky()]);
  }

  /** Wake a worker that waits for what is not batch work. */
  async wakePicky(): Promise<void> {
    await this.#redis.zadd(keys.others(this.#code, this.#version), 0, MARK);
  }

  async #takeMark(): Promise<void> {
    try {
      const mark = await this.#blocking.bzpopmin(
        keys.others(this.#code, this.#version),
        BLOCK_SECONDS,
      );
      this.#hasWord = mark !== null;
    } finally {
      this.#wait = null;
    }
  }
}
