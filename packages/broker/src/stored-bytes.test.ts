import { modelCodeOf, type JobId } from "@headrace/contract";
import { RedisServer } from "@headrace/testkit";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test as bareTest } from "vitest";

import { keys } from "./keys.ts";
import { IngressBroker } from "./ingress-broker.ts";
import { RedisWatch } from "./redis-watch.ts";
import { brokerTest, delta, MODEL, submission, TestWorker } from "./test-bench.ts";

const LONG = "x".repeat(100_000);
/** As Redis may round what such a request takes. */
const LARGE_BYTES = 100_000;
/** More than the log of a job takes that said nothing. */
const SMALL_BYTES = 10_000;
const DONE = { status: "completed", outcome: {}, items: [] } as const;
const FAILED = { status: "failed", outcome: { error: "engine_rejected" }, items: [] } as const;

const large = { request: { model: MODEL, messages: [{ role: "user", content: LONG }] } };

/** A worker that is there, so that a model is known. */
const test = brokerTest.extend("worker", async ({ startWorker }) => startWorker());

/** What is counted of the tenant's jobs beyond what every job takes: in all, and of each. */
async function readStored(redis: Redis): Promise<{ sum: number; jobs: Record<string, number> }> {
  const { "": sum = "0", ...jobs } = await redis.hgetall(keys.stored("default"));
  const counts = Object.entries(jobs).map(([job, bytes]) => [job, Number(bytes)] as const);
  return { sum: Number(sum), jobs: Object.fromEntries(counts) };
}

async function requestOf(redis: Redis, job: JobId): Promise<string | null> {
  return redis.hget(keys.entry(job), "request");
}

describe("a request that is kept", () => {
  test("goes when its job has completed, and what is counted of it goes with it", async ({
    ingress,
    redis,
    submit,
    worker,
  }) => {
    const job = await submit(large);
    const source = await worker.next();
    const before = await readStored(redis);

    await worker.broker.finish(source, DONE);
    await ingress.settleNow();

    expect(before.jobs[job]).toBeGreaterThan(LARGE_BYTES);
    expect(before.sum).toBe(before.jobs[job]);
    expect(source.attempt.spec.request).toEqual(large.request);
    expect(await requestOf(redis, job)).toBeNull();
    expect((await ingress.getJob("default", job)).spec.model).toBe(MODEL);
    expect((await readStored(redis)).sum).toBeLessThan(SMALL_BYTES);
  });

  test("stays when its job has failed, since it may be run again, and is counted", async ({
    ingress,
    redis,
    submit,
    worker,
  }) => {
    const job = await submit(large);

    await worker.broker.finish(await worker.next(), FAILED);
    await ingress.settleNow();
    const whole = await ingress.getWhole(await ingress.getJob("default", job));

    expect(whole.spec.request).toEqual(large.request);
    const { sum, jobs } = await readStored(redis);
    expect(jobs[job]).toBeGreaterThan(LARGE_BYTES);
    expect(sum).toBe(jobs[job]);
  });

  test("stays with a response, which shows it", async ({ ingress, submit, worker }) => {
    const response = { is_background: true, is_stored: true, has_instructions: false, echo: {} };
    const job = await submit({ ...large, response });

    await worker.broker.finish(await worker.next(), DONE);
    const whole = await ingress.getWhole(await ingress.getJob("default", job));

    expect(whole.spec.request).toEqual(large.request);
  });
});

describe("what a tenant's jobs take", () => {
  test("counts a long output from the end of its job on", async ({
    ingress,
    redis,
    submit,
    worker,
  }) => {
    const job = await submit();
    const source = await worker.next();
    const before = await readStored(redis);

    await worker.broker.finish(source, { ...DONE, items: [delta(LONG)] });
    await ingress.settleNow();

    expect(before.sum).toBe(0);
    expect((await readStored(redis)).jobs[job]).toBeGreaterThan(LARGE_BYTES);
  });

  test("is given back with a job that is deleted, before it is settled or after", async ({
    ingress,
    redis,
    submit,
    worker,
  }) => {
    const early = await submit(large);
    const late = await submit(large);
    await worker.broker.finish(await worker.next(), FAILED);
    await worker.broker.finish(await worker.next(), FAILED);

    await ingress.forget("default", early);
    await ingress.settleNow();
    const between = await readStored(redis);
    await ingress.forget("default", late);

    expect(Object.keys(between.jobs)).toEqual([late]);
    expect(await redis.exists(keys.stored("default"))).toBe(0);
  });

  test("is given back by the sweep once a job's retention is over", async ({
    ingress,
    redis,
    submit,
    worker,
  }) => {
    const job = await submit(large);
    await worker.broker.finish(await worker.next(), FAILED);
    await ingress.settleNow();
    await redis.del(keys.entry(job), keys.log(job));
    // As if it had been booked long ago: the sweep leaves alone what is new.
    await redis.zadd(keys.jobs("default"), 1, job);

    await ingress.sweepNow();

    expect(await redis.exists(keys.stored("default"))).toBe(0);
    expect(await redis.zcard(keys.jobs("default"))).toBe(0);
  });

  test("is given back with a job that is refused for its deadline", async ({
    redis,
    submit,
    worker,
  }) => {
    worker.slots = 0;
    const job = await submit();
    const code = modelCodeOf(job);
    // Ten starts in the last ten seconds, and a queue that is longer than what its deadline allows.
    const ten = Math.floor(Date.now() / 10_000);
    await redis.hset(keys.flow(code), ten % 7, `${ten} 0 10 0`);
    await redis.del(keys.idle(code, "v1"), keys.picky(code, "v1"));

    const refused = await submit({ ...large, deadlineMs: 1 }).catch((error: unknown) => error);

    expect(refused).toMatchObject({ code: "deadline_unreachable" });
    expect(await redis.exists(keys.stored("default"))).toBe(0);
  });
});

describe("the share of a tenant", () => {
  bareTest(
    "is refused by the number of small jobs, too, with limits and without",
    async () => {
      const { ingress, redis, maxmemory } = await openSmall();
      const choices = { metadata: {} };
      let refusal: unknown = null;
      for (let count = 0; refusal === null && count < 20_000; count += 250) {
        const many = Array.from({ length: 250 }, async () =>
          ingress.submit(await submission(ingress, choices)),
        );
        const settled = await Promise.allSettled(many);
        refusal = settled.find(({ status }) => status === "rejected") ?? null;
      }
      const limits = { requests_per_minute: 1_000 };
      const withLimits = submission(ingress, { limits });

      expect(refusal).toMatchObject({ reason: { code: "share_exceeded" } });
      await expect(ingress.submit(await withLimits)).rejects.toMatchObject({
        code: "share_exceeded",
        reason: "memory",
        message: expect.stringMatching(/^your jobs take \d+\.\d MiB/),
      });
      const other = await submission(ingress, { tenant: "other", limits });
      expect(await ingress.submit(other)).toMatchObject({ isNew: true });
      const used = Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]);
      expect(used / maxmemory).toBeLessThan(0.65);
    },
    60_000,
  );

  bareTest(
    "finds a key's first job all the same",
    async () => {
      const { ingress } = await openSmall();
      const first = await submission(ingress, { ...large, idempotencyKey: "first" });
      const { id } = await ingress.submit(first);
      let refusal: unknown = null;
      while (refusal === null) {
        const another = ingress.submit(await submission(ingress, large));
        refusal = await another.then(() => null).catch((error: unknown) => error);
      }

      expect(refusal).toMatchObject({ code: "share_exceeded" });
      expect(await ingress.submit(first)).toMatchObject({ id, isNew: false });
    },
    30_000,
  );
});

describe("the watch", () => {
  bareTest("lets a tenant have as much of what is left as its share says", async () => {
    const { redis, maxmemory } = await openSmall();
    const watch = new RedisWatch(redis, () => {});
    onTestFinished(() => watch.close());
    await expect.poll(() => watch.fullness).toBeGreaterThan(0);
    const free = (): number => (0.7 - watch.fullness) * maxmemory;

    const empty = watch.mostOfTenant(0.5);
    const uncount = watch.countJob(maxmemory * 0.25);
    const [half, three, all] = [0.5, 0.75, 1].map((share) => watch.mostOfTenant(share));
    const left = free();
    uncount();

    expect(empty).toBeNull();
    expect(half).toBeCloseTo(left, -2);
    expect(three).toBeNull();
    expect(all).toBeNull();
    expect(watch.mostOfTenant(0.5)).toBeNull();
  });
});

/** An ingress on a Redis that is soon full, with a worker that takes nothing. */
async function openSmall(): Promise<{ ingress: IngressBroker; redis: Redis; maxmemory: number }> {
  const maxmemory = 24 * 1_048_576;
  const server = await RedisServer.start({ maxmemory: String(maxmemory) });
  onTestFinished(() => server.stop());
  const redis = new Redis(server.url);
  onTestFinished(() => redis.disconnect());
  const worker = new TestWorker();
  worker.slots = 0;
  await worker.open(server.url, { version: "v1", report: () => {} });
  onTestFinished(() => worker.stop());
  const ingress = new IngressBroker({
    redisUrl: server.url,
    durability: "redis",
    report: () => {},
  });
  onTestFinished(() => ingress.close());
  await ingress.assertReady(5_000);
  return { ingress, redis, maxmemory };
}
