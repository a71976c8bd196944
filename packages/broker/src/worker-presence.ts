import type { ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { readClockOffset } from "./clock.ts";
import { keys } from "./keys.ts";
import type { Report } from "./redis.ts";

/** A worker that has not been seen for this long counts as gone. */
const PRESENCE_MS = 15_000;
const PRESENCE_RENEW_MS = 5_000;

const engineStateSchema = z.object({
  kind: z.string(),
  /** As the engine itself says; null when it does not. */
  version: z.string().nullable(),
  /** How long it has not answered, ms, as of when this was written. */
  silentMs: z.number(),
  /** What came instead of its last answer; null while it answers. */
  error: z.string().nullable(),
});
/** How a worker finds its engine. */
export type EngineState = z.infer<typeof engineStateSchema>;

const workerStatusSchema = z.object({
  worker: z.string(),
  /** Version of the model that it serves: whose jobs it takes. */
  version: z.string(),
  /** Redis' clock less the worker's. */
  clockOffsetMs: z.number(),
  engine: engineStateSchema,
});
/** What a live worker says of itself, every 5 s. */
export type WorkerStatus = z.infer<typeof workerStatusSchema>;

/** Who is present. */
export interface Holder {
  readonly code: ModelCode;
  readonly version: string;
  readonly worker: string;
}

/** What a worker's presence works with. */
export interface PresenceWiring {
  readonly engine: () => EngineState;
  /** Enters the worker's model again where it is not known: Redis may come back without its keys. */
  readonly reenter: () => Promise<void>;
  readonly report: Report;
}

/** Keeps a worker known to all as alive, with how it finds its engine. */
export class WorkerPresence {
  readonly #redis: Redis;
  readonly #holder: Holder;
  readonly #engine: () => EngineState;
  readonly #reenter: () => Promise<void>;
  readonly #timer: NodeJS.Timeout;

  constructor(redis: Redis, holder: Holder, { engine, reenter, report }: PresenceWiring) {
    this.#redis = redis;
    this.#holder = holder;
    this.#engine = engine;
    this.#reenter = reenter;
    this.#timer = setInterval(() => this.announce().catch(report), PRESENCE_RENEW_MS);
  }

  /** Say now that the worker is there, and which model it serves should nobody know. */
  async announce(): Promise<void> {
    const { code, worker, version } = this.#holder;
    const { redisNowMs, offsetMs: clockOffsetMs } = await readClockOffset(this.#redis);
    const status: WorkerStatus = { worker, version, clockOffsetMs, engine: this.#engine() };
    const text = JSON.stringify(status);
    await Promise.all([
      this.#redis.zadd(keys.workers(code), redisNowMs + PRESENCE_MS, worker),
      this.#redis.set(keys.worker(code, worker), text, "PX", PRESENCE_MS),
      this.#redis.zremrangebyscore(keys.workers(code), "-inf", redisNowMs - PRESENCE_MS),
      this.#reenter(),
    ]);
  }

  /** Give up the place among the workers; it runs out by itself where nobody can be told. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#redis.status !== "ready") return;
    const { code, worker } = this.#holder;
    await Promise.all([
      this.#redis.zrem(keys.workers(code), worker),
      this.#redis.del(keys.worker(code, worker)),
    ]).catch(() => {});
  }
}

/** Read what a model's live workers say of themselves. Those of earlier versions say nothing. */
export async function readWorkers(redis: Redis, code: ModelCode): Promise<WorkerStatus[]> {
  const { redisNowMs } = await readClockOffset(redis);
  const names = await redis.zrangebyscore(keys.workers(code), redisNowMs, "+inf");
  const texts = await Promise.all(names.map((worker) => redis.get(keys.worker(code, worker))));
  return texts.flatMap((text) => (text === null ? [] : workerStatusSchema.parse(JSON.parse(text))));
}
