import { Redis } from "ioredis";
import { setTimeout as delay } from "node:timers/promises";

// The package's entry holds vitest's fixtures, which cannot be loaded outside of it.
import { RedisServer, SlowLink } from "@headrace/testkit/instruments";
import type { Measurements } from "../figure.ts";
import { keptSubmissions, type Kept } from "../loads/kept-submissions.ts";
import { SUBMISSION } from "../prompt.ts";
import { Stack, type Bench } from "../stack.ts";
import { median, quantile } from "../statistics.ts";

const LEVELS = ["redis", "redis-always", "replicated"] as const;
type Level = (typeof LEVELS)[number];

/** A replica far away: 100 ms there and back. In another zone of one region it is one or two. */
const LINK_DELAY_MS = 50;
/** As many as leave the two cores idle now and then, to see what one submit takes. */
const FEW = 4;
const MANY = 64;
const WARM_UP_MS = 1_000;
const MEASURE_MS = 4_000;
/** How long jobs come in before Redis is killed under them. */
const BEFORE_KILL_MS = 2_000;
/** Submits end by themselves once Redis is gone; this is for when it is not. */
const MOST_MS = 30_000;
const LOOK_MS = 20;
const SYNC_MS = 10_000;
const MS_PER_SECOND = 1_000;

/** What one level costs, and what it loses when Redis is killed under it. */
interface Outcome {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly perSecond: number;
  readonly accepted: number;
  /** Accepted jobs that the replica does not have, once it is promoted. */
  readonly lostToFailover: number;
  /** Accepted jobs that Redis itself does not have, once it is started again. */
  readonly lostToKill: number;
}

/**
 * Measure what each durability level costs a submit, and which accepted jobs it loses: with a
 * replica behind a slow link, Redis is killed while 64 connections submit; then the replica is
 * promoted, and the killed one started again from its file.
 *
 * A kill is no power cut: what the process had written, the kernel still has.
 */
export async function measureDurability(bench: Bench): Promise<Measurements> {
  const found: [Level, Outcome][] = [];
  for (const level of LEVELS) {
    bench.say(level);
    found.push([level, await measureLevel(bench, level)]);
  }
  return Object.fromEntries(found.flatMap(([level, outcome]) => describe(level, outcome)));
}

function describe(level: Level, outcome: Outcome): [string, Measurements[string]][] {
  const name = level.replace("-", "_");
  const { p50Ms, p99Ms, perSecond, accepted, lostToFailover, lostToKill } = outcome;
  const none = { value: 0, bound: "at_most" } as const;
  return [
    [`${name}_submit_p50_ms`, { value: p50Ms, unit: "ms", limit: null }],
    [`${name}_submit_p99_ms`, { value: p99Ms, unit: "ms", limit: null }],
    [`${name}_submit_per_second`, { value: perSecond, unit: "jobs/s", limit: null }],
    [`${name}_accepted_before_kill`, { value: accepted, unit: "jobs", limit: null }],
    [
      `${name}_lost_to_failover`,
      { value: lostToFailover, unit: "jobs", limit: level === "replicated" ? none : null },
    ],
    [`${name}_lost_to_kill`, { value: lostToKill, unit: "jobs", limit: none }],
  ];
}

async function measureLevel(bench: Bench, level: Level): Promise<Outcome> {
  const settings = {
    appendfsync: level === "redis-always" ? "always" : "everysec",
    "repl-diskless-sync-delay": "0",
  };
  const links: SlowLink[] = [];
  const replicas: RedisServer[] = [];
  const prepare = async (server: RedisServer): Promise<void> => {
    const link = await SlowLink.open(server.port, LINK_DELAY_MS);
    links.push(link);
    const replica = await RedisServer.start({ replicaof: `127.0.0.1 ${link.port}` });
    replicas.push(replica);
    await whenReplicating(server.url);
  };
  try {
    const ingress = { HEADRACE_DURABILITY: level };
    return await Stack.with(bench, { redis: settings, ingress, prepare }, async (stack) => {
      await stack.stopWorker();
      const [replica] = replicas;
      if (replica === undefined) throw new Error("there is no replica");
      return measureOn(stack, { replica, settings });
    });
  } finally {
    await Promise.all(links.map((link) => link.close()));
    await Promise.all(replicas.map((replica) => replica.stop()));
  }
}

async function measureOn(
  stack: Stack,
  { replica, settings }: { replica: RedisServer; settings: Readonly<Record<string, string>> },
): Promise<Outcome> {
  const load = stack.startLoad();
  const task = {
    url: stack.api.url,
    headers: { ...stack.api.headers },
    body: JSON.stringify(SUBMISSION),
  };
  const submit = (connections: number, withinMs: number): Promise<Kept> =>
    load.run(keptSubmissions, { ...task, connections, withinMs });
  await submit(MANY, WARM_UP_MS);
  const calm = await submit(FEW, MEASURE_MS);
  const busy = await submit(MANY, MEASURE_MS);
  const broken = submit(MANY, MOST_MS);
  await delay(BEFORE_KILL_MS);
  await stack.server.kill();
  const { ids } = await broken;
  const lostToFailover = await countMissing(replica.url, ids, (redis) =>
    redis.replicaof("NO", "ONE"),
  );
  await stack.server.restart(settings);
  const lostToKill = await countMissing(stack.server.url, ids);
  return {
    p50Ms: median(calm.latenciesMs),
    p99Ms: quantile(calm.latenciesMs, 0.99),
    perSecond: (busy.ids.length * MS_PER_SECOND) / busy.elapsedMs,
    accepted: ids.length,
    lostToFailover,
    lostToKill,
  };
}

/** Count the jobs that a Redis does not have. */
async function countMissing(
  url: string,
  ids: readonly string[],
  before: (redis: Redis) => Promise<unknown> = async () => null,
): Promise<number> {
  const redis = new Redis(url);
  try {
    await before(redis);
    const known = new Set((await redis.keys("*:job:*")).map((key) => key.split(":job:")[1]));
    return ids.filter((id) => !known.has(id)).length;
  } finally {
    redis.disconnect();
  }
}

async function whenReplicating(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    const deadlineAt = performance.now() + SYNC_MS;
    while (!(await redis.info("replication")).includes("state=online")) {
      if (performance.now() > deadlineAt) throw new Error("the replica does not come");
      await delay(LOOK_MS);
    }
  } finally {
    redis.disconnect();
  }
}
