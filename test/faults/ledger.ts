import { setTimeout as delay } from "node:timers/promises";

import { modelCodeOf, jobIdSchema, type ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "../../packages/broker/src/keys.ts";
import { readMetered, type Metered } from "./usage-check.ts";

/** Matches the keys of all jobs' entries. */
export const EVERY_ENTRY = "hr:{*}:job:*";
/** Jobs read in one round trip. */
const PAGE = 200;
/** How long what has ended may still be listed: locks of killed workers, and two passes of the sweep. */
const REST_MS = 40_000;
const LOOK_MS = 500;

/** One entry of a token log. */
export interface LedgerEntry {
  readonly id: string;
  readonly type: string;
  /** JSON. */
  readonly data: string;
}

/** What the ledger knows of a job. */
export interface LedgerJob {
  readonly state: string;
  /** JSON, as the ingress wrote it. */
  readonly spec: string;
  /** Attempts that were begun, whether they count or not. */
  readonly begun: number;
  /** Attempts that count against the job. */
  readonly attempts: number;
  readonly deaths: number;
  readonly log: readonly LedgerEntry[];
}

/** All that the ledger, and the queue, hold of a model. */
export interface Ledger {
  readonly jobs: ReadonlyMap<string, LedgerJob>;
  /** Jobs that something still lists as open, queued or not settled, with what lists them. */
  readonly listed: readonly string[];
  /** What was counted of all jobs. */
  readonly metered: Metered;
}

/**
 * Read the whole ledger of every model, once nothing is listed as open any more: the sweep, which
 * comes every 5 s, has then mended what it can.
 */
export async function readLedger(redis: Redis): Promise<Ledger> {
  const jobs = await readJobs(redis);
  const codes = [...new Set([...jobs.keys()].map((id) => modelCodeOf(jobIdSchema.parse(id))))];
  const untilMs = performance.now() + REST_MS;
  for (;;) {
    const listed = (await Promise.all(codes.map((code) => readLists(redis, code)))).flat();
    if (listed.length === 0 || performance.now() > untilMs) {
      return { jobs: await readJobs(redis), listed, metered: await readMetered(redis) };
    }
    await delay(LOOK_MS);
  }
}

async function readJobs(redis: Redis): Promise<Map<string, LedgerJob>> {
  const jobs = new Map<string, LedgerJob>();
  for await (const found of redis.scanStream({ match: EVERY_ENTRY, count: 1_000 })) {
    const ids = jobIdSchema.array().parse(found.map(idOf));
    for (let at = 0; at < ids.length; at += PAGE) {
      const page = ids.slice(at, at + PAGE);
      const read = await Promise.all(page.map((id) => readJob(redis, id)));
      for (const [nth, id] of page.entries()) {
        const job = read[nth];
        if (job) jobs.set(id, job);
      }
    }
  }
  return jobs;
}

async function readJob(redis: Redis, id: string): Promise<LedgerJob | null> {
  const job = jobIdSchema.parse(id);
  const [fields, names, log] = await Promise.all([
    redis.hmget(keys.entry(job), "state", "attempts", "deaths", "spec"),
    redis.hkeys(keys.entry(job)),
    redis.xrange(keys.log(job), "-", "+"),
  ]);
  const [state, attempts, deaths, spec] = fields;
  if (!state) return null;
  return {
    state,
    spec: spec ?? "",
    begun: names.filter((name) => name.startsWith("attempt:")).length,
    attempts: Number(attempts ?? 0),
    deaths: Number(deaths ?? 0),
    log: log.map(([entry, [type = "", data = ""]]) => ({ id: entry, type, data })),
  };
}

async function readLists(redis: Redis, code: ModelCode): Promise<string[]> {
  const zsets = [keys.open(code), keys.deadline(code), keys.attached(code)];
  const queued = await redis.keys(keys.queue(code, "*", "prioritized"));
  const lists = await Promise.all(
    ["wait", "active"].map((name) => redis.keys(keys.queue(code, "*", name))),
  );
  const found = await Promise.all([
    ...[...zsets, ...queued].map(async (key) => ({ key, ids: await redis.zrange(key, "0", "-1") })),
    redis.xrange(keys.outbox(code), "-", "+").then((entries) => ({
      key: keys.outbox(code),
      ids: entries.map(([entry]) => entry),
    })),
    ...lists.flat().map(async (key) => ({ key, ids: await redis.lrange(key, 0, -1) })),
  ]);
  return found.flatMap(({ key, ids }) => ids.map((id) => `${id} in ${key}`));
}

function idOf(key: unknown): string {
  return String(key).split(":job:")[1] ?? "";
}
