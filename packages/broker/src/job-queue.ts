import { modelCodeOf, type JobId, type ModelCode } from "@headrace/contract";
import { Job, Queue } from "bullmq";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";
import type { Report } from "./redis.ts";

/**
 * What BullMQ calls a priority. Lower goes first; BullMQ gives 0 a list of its own that beats
 * everything, so 0 is not used.
 */
export const QUEUE_CLASSES = { interactive: 1, standard: 2, batch: 3 } as const;

/** How far apart BullMQ's scores of two priorities are; `lua/include/turn.lua` has it, too. */
export const CLASS_BAND = 2 ** 32;

/** Where a job waits in BullMQ's set. */
export interface Place {
  readonly class: number;
  /** The class, and within it the job's turn, as Redis spells it. */
  readonly score: string;
  /** Whether a worker that has no room for batch work is to be told of the job. */
  readonly isAwaited: boolean;
}

/** The one member of a set that workers wait for, as BullMQ's own marker has it. */
export const MARK = "0";

/** BullMQ's word for what a job does: every job of a queue does the same. */
const TASK = "generate";

/** BullMQ's queues, one per model version, opened when first used. */
export class JobQueues {
  readonly #redis: Redis;
  readonly #report: Report;
  readonly #queues = new Map<string, Queue>();

  constructor(redis: Redis, report: Report) {
    this.#redis = redis;
    this.#report = report;
  }

  /**
   * Queue a job that the ledger has accepted, in its turn. Adding it again while BullMQ has it changes
   * nothing.
   *
   * BullMQ puts it behind all of its class: the next command, sent with that one, puts it in its place.
   * Where that is lost, the sweep does it.
   *
   * A rejection means *unknown*: Redis may have done it and lost the reply.
   */
  async add(job: JobId, version: string, place: Place): Promise<void> {
    const code = modelCodeOf(job);
    const queue = this.#queue(code, version);
    const client = await queue.getBackend().client;
    // That ended jobs are removed is said once, by the worker: said here, each job would store it.
    const added = new Job(queue, TASK, {}, { jobId: job, priority: place.class }, job);
    const set = keys.queue(code, version, "prioritized");
    await Promise.all([
      added.addJob(client),
      this.#redis.zadd(set, "XX", place.score, job),
      place.isAwaited ? this.#redis.zadd(keys.others(code, version), 0, MARK) : null,
    ]);
  }

  /** Take a job out of its queue, unless a worker holds it. @returns whether it is out */
  async remove(job: JobId, version: string): Promise<boolean> {
    return (await this.#queue(modelCodeOf(job), version).remove(job)) === 1;
  }

  /** Take an ended job out of its queue; where that cannot be done now, the sweep does it later. */
  async removeEnded(job: JobId, version: string): Promise<void> {
    try {
      await this.remove(job, version);
    } catch (error) {
      this.#report(new Error(`removing ${job} is left to the sweep`, { cause: error }));
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  #queue(code: ModelCode, version: string): Queue {
    const prefix = keys.queuePrefix(code);
    const name = `${prefix}:${version}`;
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new Queue(version, {
        connection: this.#redis,
        prefix,
        skipVersionCheck: true,
        skipMetasUpdate: true,
      });
      queue.on("error", this.#report);
      this.#queues.set(name, queue);
    }
    return queue;
  }
}
