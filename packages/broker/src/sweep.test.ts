import { modelCodeOf } from "@headrace/contract";
import { describe, expect, onTestFinished, vi } from "vitest";

import type { IngressBroker } from "./ingress-broker.ts";
import { JobQueues } from "./job-queue.ts";
import { keys } from "./keys.ts";
import { ModelRegistry } from "./model-registry.ts";
import { Sweep, type SweepCounts } from "./sweep.ts";
import { brokerTest as test, submission, TestReader } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {}, items: [] } as const;

/** The version that a new job goes to, as the ingress knows it: it trusts what it read for a second. */
const servedVersion = async (ingress: IngressBroker): Promise<string> =>
  (await submission(ingress)).model.version;

describe("the sweep", () => {
  test("queues an accepted job that BullMQ does not have", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const code = modelCodeOf(job);
    await redis.del(keys.queue(code, "v1", job));
    await redis.zrem(keys.queue(code, "v1", "prioritized"), job);
    // As if it had been accepted before the sweep's patience began.
    await redis.zadd(keys.open(code), 1, job);

    const counts = await ingress.sweepNow();

    expect(counts.requeued).toBe(1);
    expect(await redis.zscore(keys.queue(code, "v1", "prioritized"), job)).not.toBeNull();
  });

  test("queues a job anew that BullMQ has in no list", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const code = modelCodeOf(job);
    await redis.zrem(keys.queue(code, "v1", "prioritized"), job);
    await redis.zadd(keys.open(code), 1, job);

    await ingress.sweepNow();

    expect(await redis.zscore(keys.queue(code, "v1", "prioritized"), job)).not.toBeNull();
  });

  test("takes an ended job off the queue", async ({ ingress, redis, startWorker, submit }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    await redis.hset(keys.entry(job), "state", "cancelled");

    const counts = await ingress.sweepNow();

    expect(counts.removed).toBe(1);
    expect(await redis.zcard(keys.queue(modelCodeOf(job), "v1", "prioritized"))).toBe(0);
  });

  test("takes an ended job off the queue of a version that workers have moved on from", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const code = modelCodeOf(job);
    await startWorker({ version: "v2" });
    await expect.poll(() => servedVersion(ingress), { timeout: 3_000 }).toBe("v2");
    await redis.hset(keys.entry(job), "state", "cancelled");

    const counts = await ingress.sweepNow();

    expect(counts.removed).toBe(1);
    expect(await redis.zcard(keys.queue(code, "v1", "prioritized"))).toBe(0);
  });

  test("forgets a version once it is neither served nor waited for, and no sooner", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const versions = keys.versions(modelCodeOf(job));
    const known = async (): Promise<string[]> => {
      // As if nothing had been accepted for a while.
      if ((await redis.zscore(versions, "v1")) !== null) await redis.zadd(versions, 1, "v1");
      await ingress.sweepNow();
      return redis.zrange(versions, "0", "-1");
    };

    const served = await known();
    await startWorker({ version: "v2" });
    await expect.poll(() => servedVersion(ingress), { timeout: 3_000 }).toBe("v2");
    const waitedFor = await known();
    await ingress.cancel(await ingress.getJob("default", job));
    const neither = await known();
    const left = await redis.keys(keys.queue(modelCodeOf(job), "v1", "*"));

    expect([served, waitedFor, neither]).toEqual([["v1"], ["v1"], []]);
    expect(left).toEqual([keys.queue(modelCodeOf(job), "v1", "meta")]);
  });

  test("leaves a running job alone", async ({ ingress, redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    await redis.zadd(keys.open(modelCodeOf(job)), 1, job);

    const counts = await ingress.sweepNow();

    expect(counts).toEqual({ expired: 0, requeued: 0, removed: 0, detached: 0, unbooked: 0 });
    expect(await worker.broker.finish(source, DONE)).toBeNull();
  });

  test("cancels a synchronous job whose ingress is gone, and nobody else's", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const own = await submit();
    const { idempotencyKey: _key, attachedTo: _nobody, ...attached } = await submission(ingress);
    const dead = await ingress.submitAndFollow(attached, new TestReader());
    const alive = await ingress.submitAndFollow(attached, new TestReader());
    for (const { id } of [dead, alive]) await redis.zadd(keys.attached(attached.model.code), 1, id);
    await redis.hset(keys.entry(dead.id), "attached", "i-dead");

    const first = await ingress.sweepNow();
    const second = await ingress.sweepNow();

    // Once without a lease may mean that Redis was away.
    expect([first.detached, second.detached]).toEqual([0, 1]);
    const statuses = await Promise.all(
      [dead.id, alive.id, own].map(async (id) => (await ingress.getJob("default", id)).status),
    );
    expect(statuses).toEqual(["cancelled", "queued", "queued"]);
  });

  test("undoes a booking that was never accepted, so that its key may be used again", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    await startWorker();
    const keyed = await submission(ingress, { idempotencyKey: "k" });
    const { id } = await ingress.submit(keyed);
    // As if the accept had never come.
    await redis.del(keys.entry(id));
    await redis.zadd(keys.reserved("default"), 1, `${id} ${keys.once("default", "k")}`);

    const counts = await ingress.sweepNow();

    expect(counts.unbooked).toBe(1);
    expect((await ingress.submit(keyed)).isNew).toBe(true);
  });
});

describe("an ingress' leases", () => {
  test("are renewed while a pass takes long", async ({ redis, reports }) => {
    const report = (error: Error): void => void reports.push(error);
    const models = new ModelRegistry(redis);
    await models.register(["tests/model:8b"], { version: "v1", maxModelLength: null });
    const tools = { redis, queues: new JobQueues(redis, report), models };
    const sweep = new Sweep(tools, "i-test", report);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    onTestFinished(() => void vi.useRealTimers());
    const passes: SweepCounts[] = [];
    sweep.start((counts) => passes.push(counts));
    await redis.config("RESETSTAT");

    // No reply from Redis is read in between, so the first pass lasts for all of it.
    vi.advanceTimersByTime(30_000);
    const passesBefore = passes.length;
    await sweep.stop();
    const stats = await redis.info("commandstats");

    expect(passesBefore).toBe(0);
    expect(passes).toHaveLength(1);
    // One of each 5 s, and what the pass itself sets.
    expect(Number(/cmdstat_set:calls=(\d+)/.exec(stats)?.[1])).toBeGreaterThanOrEqual(6);
    expect(reports).toEqual([]);
  });
});
