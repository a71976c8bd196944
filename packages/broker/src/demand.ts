import type { ModelCode, ModelDemand } from "@headrace/contract";
import type { Redis } from "ioredis";

import { readBatchDemand, type BatchDemand } from "./batches/batch-demand.ts";
import { readRedisMs } from "./clock.ts";
import { CLASS_BAND, QUEUE_CLASSES } from "./job-queue.ts";
import { keys } from "./keys.ts";
import type { ModelRegistry } from "./model-registry.ts";

/** Of the time that a batch has left, what its lines are to take: as much later may something fail. */
const PUNCTUALITY = 0.8;
/** A window that is all but over asks for no more than everything at once. */
const LEAST_MS = 1_000;
const DIGITS = 1_000;

/** Tell what is asked of each version of each model. Costs Redis some 20 µs a version. */
export async function readDemand(redis: Redis, models: ModelRegistry): Promise<ModelDemand[]> {
  const nowMs = await readRedisMs(redis);
  const known = new Map<ModelCode, { readonly model: string; readonly version: string }>();
  for (const [model, { code, version }] of await models.list()) {
    if (!known.has(code)) known.set(code, { model, version });
  }
  const found = [...known].map(async ([code, { model, version }]) => {
    const queued = await redis.zrange(keys.versions(code), "0", "-1");
    const versions = [...new Set([version, ...queued])];
    const batches = await readBatchDemand(redis, code, nowMs);
    return Promise.all(
      versions.map(async (each) => ({
        model,
        version: each,
        // New jobs, lines among them, go to the version that is registered.
        ...toDemand(await readQueue(redis, code, each), each === version ? batches : [], nowMs),
      })),
    );
  });
  return (await Promise.all(found)).flat();
}

/** What BullMQ has of one version. */
interface QueueCounts {
  readonly waiting: ModelDemand["waiting"];
  /** Taken back from dead workers, whatever their class. */
  readonly first: number;
  readonly active: number;
}

async function readQueue(redis: Redis, code: ModelCode, version: string): Promise<QueueCounts> {
  const set = keys.queue(code, version, "prioritized");
  const count = (from: number, to: number): Promise<number> =>
    redis.zcount(set, from * CLASS_BAND, `(${to * CLASS_BAND}`);
  const { interactive, standard, batch } = QUEUE_CLASSES;
  const [hurried, usual, idle, first, active] = await Promise.all([
    count(interactive, standard),
    count(standard, batch),
    count(batch, batch + 1),
    redis.llen(keys.queue(code, version, "wait")),
    redis.llen(keys.queue(code, version, "active")),
  ]);
  return { waiting: { interactive: hurried, standard: usual, batch: idle }, first, active };
}

function toDemand(
  { waiting, first, active }: QueueCounts,
  batches: readonly BatchDemand[],
  nowMs: number,
): Omit<ModelDemand, "model" | "version"> {
  const linesLeft = sum(batches.map(({ left }) => left));
  const underWay = sum(batches.map((batch) => batch.underWay));
  const lines = sum(batches.map((batch) => weigh(batch, nowMs)));
  // Lines under way are jobs as well: they count once, by their window.
  const linesWaiting = Math.min(underWay, waiting.batch);
  const linesActive = Math.min(underWay - linesWaiting, active);
  const jobs = waiting.interactive + waiting.standard + waiting.batch + first + active;
  return {
    demand: round(jobs - linesWaiting - linesActive + lines),
    waiting,
    active,
    batches: { open: batches.length, lines_left: linesLeft, demand: round(lines) },
  };
}

/**
 * How many lines of a batch should be in flight for it to be done in time (Little's law: lines a second
 * times the seconds that each takes), one at the least, so that there is somebody to begin.
 */
function weigh({ left, lineMs, endsAtMs }: BatchDemand, nowMs: number): number {
  if (left === 0) return 0;
  const spanMs = Math.max((endsAtMs - nowMs) * PUNCTUALITY, LEAST_MS);
  return Math.min(Math.max((left * lineMs) / spanMs, 1), left);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function round(value: number): number {
  return Math.round(value * DIGITS) / DIGITS;
}
