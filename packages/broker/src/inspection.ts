import { jobIdSchema, type JobId, type ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { readClockOffset, type ClockOffset } from "./clock.ts";
import {
  findSyncPolicy,
  isReplica,
  readReplicas,
  versionOf,
  type ReplicaState,
} from "./fitness.ts";
import { ANY_WORKERS, codeOfWorkers, keys } from "./keys.ts";
import type { ModelRegistry } from "./model-registry.ts";
import { readInfo } from "./redis-info.ts";
import { script } from "./script.ts";
import { readWorkers, type WorkerStatus } from "./worker-presence.ts";

const inspectOpen = script("inspect-open", z.array(z.union([z.int(), z.string()])));
const auditQueue = script("audit-queue", z.array(z.union([z.int(), z.string()])));

/** Jobs looked at in one script call: about 3 ms of Redis. */
const PAGE = 500;
/** Pages of one list: 10,000 jobs. What a longer one holds beyond them is not looked at. */
const PAGES = 20;
/** Longer than a lock that was lost takes to be taken up by another worker. */
const GRACE_MS = 30_000;
/** A queued job without an entry is left alone this long, as the sweep does. */
const FORGOTTEN_MS = 60_000;
/** The sweep comes every 5 s: what is overdue for longer, it has missed more than once. */
const OVERDUE_MS = 20_000;

/** What Redis says of itself, as far as it matters to jobs. */
export interface RedisInspection {
  readonly version: string;
  readonly evictionPolicy: string;
  readonly usedBytes: number;
  /** 0 when none is set. */
  readonly limitBytes: number;
  /** Memory of the machine. */
  readonly machineBytes: number;
  readonly hasAppendOnlyFile: boolean;
  /** Null where it may not be read. */
  readonly syncPolicy: string | null;
  readonly canWriteFile: boolean;
  /** Whether its last snapshot was written: where it makes any, it refuses writes after one was not. */
  readonly canWriteSnapshot: boolean;
  /** It takes writes only from its primary. */
  readonly isReplica: boolean;
  /** Whether a replica's link to its primary is up. */
  readonly isPrimaryReached: boolean;
  readonly replicas: readonly ReplicaState[];
}

/** What was found of one model's jobs and workers. */
export interface ModelInspection {
  readonly names: readonly string[];
  readonly openCount: number;
  /** How many of them were looked at. */
  readonly seenCount: number;
  /** Queued jobs by the version they wait for. */
  readonly waiting: ReadonlyMap<string, number>;
  /** In progress, and held by no worker. */
  readonly unheld: readonly JobId[];
  /** Queued, and unknown to BullMQ. */
  readonly unqueued: readonly JobId[];
  /** Listed as open, and without an entry. */
  readonly missing: readonly JobId[];
  /** Ended or forgotten, and still queued in BullMQ. */
  readonly leftover: readonly JobId[];
  /** Not started, and past their deadlines for longer than the sweep takes. */
  readonly overdueCount: number;
  readonly workers: readonly WorkerStatus[];
}

export interface Inspection {
  readonly redis: RedisInspection;
  /** Of the process that looked. */
  readonly clock: ClockOffset;
  readonly models: readonly ModelInspection[];
  /** Live workers whose models are not known; looked for only where no model is. */
  readonly unknownWorkers: readonly string[];
}

/** Look at everything that can go wrong, and change nothing. Costs Redis a few ms per 500 open jobs. */
export async function inspect(redis: Redis, models: ModelRegistry): Promise<Inspection> {
  const clock = await readClockOffset(redis);
  const names = Map.groupBy(await models.list(), ([, { code }]) => code);
  const found: ModelInspection[] = [];
  for (const [code, ofCode] of names) {
    found.push(
      await inspectModel(redis, {
        code,
        names: ofCode.map(([name]) => name),
        nowMs: clock.redisNowMs,
      }),
    );
  }
  const unknownWorkers = found.length === 0 ? await findWorkers(redis) : [];
  return { redis: await inspectRedis(redis), clock, models: found, unknownWorkers };
}

/** Find live workers of whatever model. A Redis that knows no model has few keys to go through. */
async function findWorkers(redis: Redis): Promise<string[]> {
  const codes = new Set<ModelCode>();
  let cursor = "0";
  for (let page = 0; page < PAGES; page += 1) {
    const [next, found] = await redis.scan(cursor, "MATCH", ANY_WORKERS, "COUNT", PAGE);
    for (const key of found) codes.add(codeOfWorkers(key));
    cursor = next;
    if (cursor === "0") break;
  }
  const workers = await Promise.all([...codes].map((code) => readWorkers(redis, code)));
  return workers.flat().map(({ worker }) => worker);
}

async function inspectRedis(redis: Redis): Promise<RedisInspection> {
  const info = await readInfo(redis);
  const number = (name: string): number => Number(info.get(name) ?? 0);
  return {
    version: versionOf(info),
    evictionPolicy: info.get("maxmemory_policy") ?? "unknown",
    usedBytes: number("used_memory"),
    limitBytes: number("maxmemory"),
    machineBytes: number("total_system_memory"),
    hasAppendOnlyFile: info.get("aof_enabled") === "1",
    syncPolicy: await findSyncPolicy(redis),
    canWriteFile: (info.get("aof_last_write_status") ?? "ok") === "ok",
    canWriteSnapshot: (info.get("rdb_last_bgsave_status") ?? "ok") === "ok",
    isReplica: isReplica(info),
    isPrimaryReached: info.get("master_link_status") === "up",
    replicas: readReplicas(info),
  };
}

async function inspectModel(
  redis: Redis,
  model: { readonly code: ModelCode; readonly names: readonly string[]; readonly nowMs: number },
): Promise<ModelInspection> {
  const { code, names, nowMs } = model;
  const open = await inspectOpenJobs(redis, code);
  const versions = new Set([
    ...(await redis.zrange(keys.versions(code), "0", "-1")),
    ...open.waiting.keys(),
  ]);
  const leftover: JobId[] = [];
  for (const version of versions) leftover.push(...(await findLeftover(redis, code, version)));
  return {
    names,
    openCount: await redis.zcard(keys.open(code)),
    ...open,
    leftover,
    overdueCount: await redis.zcount(keys.deadline(code), "-inf", nowMs - OVERDUE_MS),
    workers: await readWorkers(redis, code),
  };
}

type OpenInspection = Pick<
  ModelInspection,
  "seenCount" | "waiting" | "unheld" | "unqueued" | "missing"
>;

async function inspectOpenJobs(redis: Redis, code: ModelCode): Promise<OpenInspection> {
  const waiting = new Map<string, number>();
  const jobs: { unheld: JobId[]; unqueued: JobId[]; missing: JobId[] } = {
    unheld: [],
    unqueued: [],
    missing: [],
  };
  const byKind = new Map<string, JobId[]>(Object.entries(jobs));
  let seenCount = 0;
  for (let page = 0; page < PAGES; page += 1) {
    const args = [keys.slot(code), page * PAGE, PAGE, GRACE_MS];
    const [seen, ...found] = await inspectOpen(redis, [keys.open(code)], args);
    seenCount += Number(seen);
    for (let at = 0; at < found.length; at += 3) {
      const [kind, name, detail] = found.slice(at, at + 3).map(String);
      if (kind === "waits") {
        waiting.set(name ?? "", (waiting.get(name ?? "") ?? 0) + Number(detail));
      } else byKind.get(kind ?? "")?.push(jobIdSchema.parse(name));
    }
    if (Number(seen) < PAGE) break;
  }
  return { seenCount, waiting, ...jobs };
}

async function findLeftover(redis: Redis, code: ModelCode, version: string): Promise<JobId[]> {
  const list = (name: string): string => keys.queue(code, version, name);
  const leftover: JobId[] = [];
  for (let page = 0; page < PAGES; page += 1) {
    const [seen, ...found] = await auditQueue(
      redis,
      [list("prioritized"), list("wait"), list("active")],
      [keys.slot(code), list(""), page * PAGE, PAGE, FORGOTTEN_MS],
    );
    leftover.push(...jobIdSchema.array().parse(found));
    if (Number(seen) < PAGE) break;
  }
  return [...new Set(leftover)];
}
