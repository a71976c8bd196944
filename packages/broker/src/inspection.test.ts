import { modelCodeOf, type JobId } from "@headrace/contract";
import { RedisServer } from "@headrace/testkit";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished } from "vitest";

import type { ModelInspection } from "./inspection.ts";
import { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { brokerTest, MODEL } from "./test-bench.ts";

/** A job that is queued and that no worker will have, long accepted. */
const test = brokerTest.extend(
  "oldJob",
  async ({ startWorker, submit, redis }) =>
    async (): Promise<JobId> => {
      const worker = await startWorker();
      await worker.stop();
      const job = await submit();
      await redis.zadd(keys.open(modelCodeOf(job)), 1, job);
      return job;
    },
);

async function inspectModel(ingress: IngressBroker): Promise<ModelInspection> {
  const [model] = (await ingress.inspect()).models;
  if (model === undefined) throw new Error("there is no model");
  return model;
}

describe("an inspection", () => {
  test("finds nothing wrong where nothing is", async ({ ingress, startWorker, submit }) => {
    const worker = await startWorker();
    await submit();
    await worker.next();
    worker.slots = 0;
    await submit();
    const { redis, clock, models } = await ingress.inspect();

    expect(redis).toMatchObject({
      evictionPolicy: "noeviction",
      limitBytes: 0,
      hasAppendOnlyFile: true,
      syncPolicy: "everysec",
      canWriteFile: true,
      isReplica: false,
      replicas: [],
    });
    expect(redis.usedBytes).toBeGreaterThan(0);
    expect(Math.abs(clock.offsetMs)).toBeLessThan(100);
    expect(models).toHaveLength(1);
    expect(models[0]).toMatchObject({
      names: [MODEL],
      openCount: 2,
      seenCount: 2,
      waiting: new Map([["v1", 1]]),
      unheld: [],
      unqueued: [],
      missing: [],
      leftover: [],
      overdueCount: 0,
    });
    expect(models[0]?.workers).toMatchObject([
      { version: "v1", engine: { kind: "test", version: "1", silentMs: 0, error: null } },
    ]);
  });

  test("finds a job in progress that no worker holds", async ({ ingress, oldJob, redis }) => {
    const job = await oldJob();
    await redis.hset(keys.entry(job), { state: "in_progress", claimed_at: "1" });

    expect(await inspectModel(ingress)).toMatchObject({ unheld: [job], unqueued: [] });
  });

  test("finds a job that BullMQ does not have", async ({ ingress, oldJob, redis }) => {
    const job = await oldJob();
    await redis.zrem(keys.queue(modelCodeOf(job), "v1", "prioritized"), job);

    expect(await inspectModel(ingress)).toMatchObject({ unqueued: [job], unheld: [] });
  });

  test("finds a job that the ledger does not have", async ({ ingress, oldJob, redis }) => {
    const job = await oldJob();
    await redis.del(keys.entry(job));

    expect(await inspectModel(ingress)).toMatchObject({ missing: [job] });
  });

  test("finds a job that ended and is queued all the same", async ({ ingress, oldJob, redis }) => {
    const job = await oldJob();
    await redis.hset(keys.entry(job), "state", "completed");

    expect(await inspectModel(ingress)).toMatchObject({ leftover: [job] });
  });

  test("finds a job that should have expired", async ({ ingress, oldJob, redis }) => {
    const job = await oldJob();
    await redis.zadd(keys.deadline(modelCodeOf(job)), 1, job);

    expect(await inspectModel(ingress)).toMatchObject({ overdueCount: 1 });
  });

  test("does not take a worker that has left for one that is there", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const before = await inspectModel(ingress);
    await worker.stop();

    expect(before.workers).toHaveLength(1);
    expect(await redis.zcard(keys.workers(modelCodeOf(job)))).toBe(0);
    expect((await inspectModel(ingress)).workers).toEqual([]);
  });

  test("finds a worker whose model is not known", async ({ ingress, redis, startWorker }) => {
    await startWorker();
    await redis.del(keys.modelsByName, keys.modelsByCode);
    const { models, unknownWorkers } = await ingress.inspect();

    expect(models).toEqual([]);
    expect(unknownWorkers).toEqual([expect.stringMatching(/^w-test-/)]);
  });

  test.for([
    [{ "maxmemory-policy": "allkeys-lru" }, { evictionPolicy: "allkeys-lru" }],
    [{ appendonly: "no" }, { hasAppendOnlyFile: false }],
    [{ appendfsync: "no" }, { syncPolicy: "no" }],
    [{ maxmemory: "64mb" }, { limitBytes: 67_108_864 }],
    // A snapshot that would have the name of a folder that is there.
    [{ save: "3600 1", dbfilename: "appendonlydir" }, { canWriteSnapshot: false }],
  ] as const)("finds a Redis with %j", async ([settings, found]) => {
    const server = await RedisServer.start(settings);
    onTestFinished(() => server.stop());
    const connection = new Redis(server.url);
    onTestFinished(() => connection.disconnect());
    await connection.set("k", "v");
    await connection.bgsave();
    const ingress = new IngressBroker({
      redisUrl: server.url,
      durability: "redis",
      report: () => {},
    });
    onTestFinished(() => ingress.close());

    await expect
      .poll(() => ingress.inspect().catch(String), { timeout: 5_000 })
      .toMatchObject({ redis: found });
  });

  test("changes nothing", async ({ ingress, oldJob, redis }) => {
    const job = await oldJob();
    await redis.del(keys.entry(job));
    const changes = async (): Promise<string | undefined> =>
      /rdb_changes_since_last_save:(\d+)/.exec(await redis.info("persistence"))?.[1];
    const before = await changes();
    await ingress.inspect();

    expect(before).toBeDefined();
    expect(await changes()).toBe(before);
  });
});
