import { RedisServer } from "@headrace/testkit";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";

import { IngressBroker } from "./ingress-broker.ts";
import { submission, TestWorker } from "./test-bench.ts";

const MEBIBYTE = 1_048_576;
const LIMIT_BYTES = 24 * MEBIBYTE;
const PROMPT = "x".repeat(100_000);
/** More than fill the server. */
const MOST_JOBS = 1_000;
const READY_MS = 5_000;

interface Bench {
  readonly redis: Redis;
  readonly ingress: IngressBroker;
  readonly worker: TestWorker;
  readonly reports: Error[];
  readonly submit: () => Promise<string>;
}

async function openBench(): Promise<Bench> {
  const server = await RedisServer.start({ maxmemory: String(LIMIT_BYTES) });
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  onTestFinished(() => redis.disconnect());
  const reports: Error[] = [];
  const report = (error: Error): void => void reports.push(error);
  const worker = new TestWorker();
  await worker.open(server.url, { version: "v1", report });
  onTestFinished(() => worker.stop());
  const ingress = new IngressBroker({
    redisUrl: server.url,
    durability: "redis",
    report,
    tenantShare: 1,
  });
  onTestFinished(() => ingress.close());
  await ingress.assertReady(READY_MS);
  const choices = { metadata: { prompt: PROMPT } };
  const submit = async (): Promise<string> =>
    (await ingress.submit(await submission(ingress, choices))).id;
  return { redis, ingress, worker, reports, submit };
}

/** Submit until refused. @returns the jobs taken in, and the refusal */
async function fill({ submit }: Bench): Promise<{ jobs: string[]; refusal: unknown }> {
  const jobs: string[] = [];
  try {
    while (jobs.length < MOST_JOBS) jobs.push(await submit());
  } catch (error) {
    return { jobs, refusal: error };
  }
  return { jobs, refusal: null };
}

async function usedBytes(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
}

describe("a Redis that fills up", () => {
  test(
    "takes no job in from 70 % on, finishes those it has, and then takes jobs again",
    { timeout: 20_000 },
    async () => {
      const bench = await openBench();
      const { redis, ingress, worker } = bench;

      const { jobs, refusal } = await fill(bench);
      const fullness = (await usedBytes(redis)) / LIMIT_BYTES;

      expect(refusal).toMatchObject({ code: "queue_full", status: 503, retryable: true });
      expect(fullness).toBeGreaterThan(0.6);
      expect(fullness).toBeLessThan(0.75);

      for (let count = 0; count < jobs.length; count += 1) {
        const source = await worker.next();
        await worker.broker.finish(source, { status: "completed", outcome: {}, items: [] });
        worker.free(1);
        await ingress.forget("default", source.attempt.job);
      }
      await expect.poll(() => ingress.memoryFullness, { timeout: 5_000 }).toBeLessThan(0.7);
      await expect(bench.submit()).resolves.toMatch(/^job_/);
    },
  );

  test("still answers a repeated Idempotency-Key with its job", async () => {
    const bench = await openBench();
    const same = await submission(bench.ingress, { idempotencyKey: "before" });
    const { id } = await bench.ingress.submit(same);
    await fill(bench);

    await expect(bench.ingress.submit(same)).resolves.toMatchObject({ id, isNew: false });
    await expect(bench.ingress.submit({ ...same, idempotencyKey: "after" })).rejects.toMatchObject({
      code: "queue_full",
    });
  });

  test("has no further job started from 85 % on", async () => {
    const bench = await openBench();
    const { redis, worker } = bench;
    worker.slots = 1;
    await bench.submit();
    const source = await worker.next();
    await bench.submit();
    for (let at = 0; (await usedBytes(redis)) < LIMIT_BYTES * 0.87; at += 1) {
      await redis.hset("ballast", at, PROMPT);
    }
    const before = await infoCount(redis);
    let own = 0;
    // Ingress and worker each read once a second: after four readings the worker knows.
    await expect
      .poll(async () => (await infoCount(redis)) - before - (own += 1), { timeout: 15_000 })
      .toBeGreaterThanOrEqual(4);

    await worker.broker.finish(source, { status: "completed", outcome: {}, items: [] });
    worker.free(1);
    await expect
      .poll(() => bench.reports.map(({ message }) => message), { timeout: 15_000 })
      .toContain("Redis is 85 % full: jobs that run end, none is started");
    expect(worker.attempts).toEqual([]);

    await redis.del("ballast");
    await expect(worker.next()).resolves.toBeDefined();
  }, 40_000);
});

describe("a Redis that is full", () => {
  test("takes what is under way to its end, is asked ten times a second at most, and is drained once there is room", async () => {
    const bench = await openBench();
    const { redis, worker } = bench;
    worker.slots = 40;
    const jobs = [];
    for (let count = 0; count < 41; count += 1) jobs.push(await bench.submit());
    const sources = [];
    for (let count = 0; count < 40; count += 1) sources.push(await worker.next());
    await redis.config("SET", "maxmemory", "1mb");

    const ends = await Promise.all(
      sources.map((source) =>
        worker.broker.finish(source, { status: "completed", outcome: {}, items: [] }),
      ),
    );
    worker.free(40);
    const before = await errorCount(redis);
    const fromMs = performance.now();
    await expect.poll(() => performance.now() - fromMs, { timeout: 5_000 }).toBeGreaterThan(3_000);
    const perSecond = ((await errorCount(redis)) - before) / 3;
    await expect(redis.set("more", "x")).rejects.toThrow("OOM");
    const startedMeanwhile = worker.attempts.length;
    await redis.config("SET", "maxmemory", String(LIMIT_BYTES * 4));
    const last = await worker.next();

    expect(new Set(ends)).toEqual(new Set([null]));
    expect(perSecond).toBeLessThan(10);
    expect(startedMeanwhile).toBe(0);
    expect(jobs).toContain(last.attempt.job);
  }, 30_000);
});

/** How often anybody asked Redis for its state, this question included. */
async function infoCount(redis: Redis): Promise<number> {
  return Number(/cmdstat_info:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
}

async function errorCount(redis: Redis): Promise<number> {
  return Number(/errorstat_OOM:count=(\d+)/.exec(await redis.info("errorstats"))?.[1] ?? 0);
}
