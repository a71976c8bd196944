import { modelCodeOf, START, type JobId, type Outcome } from "@headrace/contract";
import { RedisServer } from "@headrace/testkit";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished } from "vitest";

import { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { ModelRegistry } from "./model-registry.ts";
import { readOutbox } from "./outbox.ts";
import { Settler, type EndTaker } from "./settler.ts";
import { brokerTest as test, MODEL, submission, TestReader, TestWorker } from "./test-bench.ts";
import { readUsage, toDay, UsageBook, type DayUsage } from "./usage-book.ts";

const OUTCOME: Outcome = {
  usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  gpu_ms: 1_800,
};
const READY_MS = 5_000;
/** An hour of GPU costs two, so 1.8 s cost a thousandth. */
const PRICE = 2;

const counted = { key: "root", model: MODEL, jobs: 1, input_tokens: 10, output_tokens: 5 };

async function endJob(worker: TestWorker, outcome: Outcome = OUTCOME): Promise<void> {
  const source = await worker.next();
  await worker.broker.finish(source, { status: "completed", outcome, items: [] });
  worker.takeMore(1);
}

/** What has been counted so far: the test may run over midnight. */
function readAll(redis: Redis, tenant = "default"): Promise<DayUsage[]> {
  const [from, to] = [toDay(Date.now() - 86_400_000), toDay(Date.now() + 86_400_000)];
  return readUsage(redis, tenant, { from, to });
}

function countJobs(rows: readonly DayUsage[]): number {
  return rows.reduce((sum, { jobs }) => sum + jobs, 0);
}

function openSettler(redis: Redis, ...takers: EndTaker[]): Settler {
  const models = new ModelRegistry(redis);
  return new Settler({ redis, models, takers, report: () => {} }, "i-test");
}

describe("an ended job", () => {
  test("is counted once, with its tokens and its share of the GPU", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    await endJob(worker);
    const settler = openSettler(redis, new UsageBook(redis, PRICE));

    const settled = [await settler.run(), await settler.run()];
    const rows = await readAll(redis);

    expect(settled).toEqual([1, 0]);
    expect(rows).toMatchObject([{ ...counted, gpu_seconds: 1.8, cost: 0.001 }]);
    expect(await redis.xlen(keys.outbox(modelCodeOf(job)))).toBe(0);
  });

  test("is counted although its entry is deleted by then", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    await endJob(worker);
    await ingress.forget("default", job);

    await ingress.settleNow();

    expect(await readAll(redis)).toMatchObject([counted]);
  });

  test("is settled within a second and a bit by an ingress that serves", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    ingress.startSweep(() => {});
    await submit();
    await endJob(worker);

    await expect
      .poll(() => readAll(redis), { timeout: 1_500, interval: 20 })
      .toMatchObject([counted]);
  });

  test("is its own tenant's", async ({ ingress, redis, startWorker, submit }) => {
    const worker = await startWorker();
    await submit({ tenant: "one" });
    await endJob(worker);
    await submit({ tenant: "other" });
    await endJob(worker);

    await ingress.settleNow();
    const rows = await Promise.all(["one", "other", "default"].map((name) => readAll(redis, name)));

    expect(rows.map(countJobs)).toEqual([1, 1, 0]);
  });
});

describe("a job that ended without a count", () => {
  test("uses what its caller has been given before cancelling it", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const content = "x".repeat(400);
    const request = { model: MODEL, messages: [{ role: "user", content }] };
    const job = await submit({ request });
    const source = await worker.next();
    for (const text of ["one", "two", "three"]) source.say(text);
    worker.broker.notify(source, true);
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    await reader.when(({ text }) => text === "onetwothree");

    await ingress.cancel(await ingress.getJob("default", job));
    await ingress.settleNow();

    // A hundred for 400 bytes, four for the message.
    const usage = { jobs: 1, input_tokens: 104, output_tokens: 3 };
    expect(await readAll(redis)).toMatchObject([usage]);
  });

  test("costs the time that its worker spent on it until it was cancelled, once", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    const given: string[] = [];
    const noting: EndTaker = {
      take: async (_code, jobs) => void given.push(...jobs.map(({ id }) => id)),
    };
    const settler = openSettler(redis, new UsageBook(redis, PRICE), noting);
    await ingress.cancel(await ingress.getJob("default", job));
    await settler.run();

    source.gpuMs = 900;
    await worker.broker.abandon(source, "fenced");
    await worker.broker.abandon(source, "fenced");
    await settler.run();

    expect(await readAll(redis)).toMatchObject([{ jobs: 1, gpu_seconds: 0.9, cost: 0.0005 }]);
    // Others are told of its end alone.
    expect(given).toEqual([job]);
  });

  test("costs nothing more when another worker has the job", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    await submit();
    const source = await worker.next();
    await worker.broker.finish(source, { status: "completed", outcome: OUTCOME, items: [] });

    source.gpuMs = 900;
    await worker.broker.abandon(source, "fenced");
    await ingress.settleNow();

    expect(await readAll(redis)).toMatchObject([{ jobs: 1, gpu_seconds: 1.8 }]);
  });

  test("costs the time of the attempts that did not end it too", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    await submit();
    const first = await worker.next();
    first.gpuMs = 700;
    await worker.broker.release(first, "handed_back", null);
    worker.takeMore(1);
    await endJob(worker);

    await ingress.settleNow();

    expect(await readAll(redis)).toMatchObject([{ jobs: 1, gpu_seconds: 2.5 }]);
  });

  test("uses nothing when it never started", async ({ ingress, redis, startWorker, submit }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();

    await ingress.cancel(await ingress.getJob("default", job));
    await ingress.settleNow();

    expect(await readAll(redis)).toMatchObject([{ jobs: 1, input_tokens: 0, output_tokens: 0 }]);
  });
});

describe("the settler", () => {
  test("counts nothing twice when it dies before it has removed what it counted", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    for (let job = 0; job < 3; job += 1) {
      await submit();
      await endJob(worker);
    }
    const book = new UsageBook(redis, PRICE);
    const dying: EndTaker = { take: () => Promise.reject(new Error("killed here")) };

    await expect(openSettler(redis, book, dying).run()).rejects.toThrow("killed here");
    const beforeCount = countJobs(await readAll(redis));
    const settled = await openSettler(redis, book).run();

    expect([beforeCount, settled, countJobs(await readAll(redis))]).toEqual([3, 3, 3]);
  });

  test("counts nothing twice when the reply is lost, or it acts on what it read long ago", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const code = modelCodeOf(await submit());
    await endJob(worker);
    const book = new UsageBook(redis, PRICE);
    const { jobs } = await readOutbox(redis, code, { limit: 10, report: () => {} });
    await book.take(code, jobs);
    await submit();
    await endJob(worker);
    await openSettler(redis, book).run();

    await book.take(code, jobs);

    expect(countJobs(await readAll(redis))).toBe(2);
  });

  test("keeps what a taker could not take, in order, and gives it again", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const submitted: JobId[] = [];
    for (let job = 0; job < 3; job += 1) {
      submitted.push(await submit());
      await endJob(worker);
    }
    const given: JobId[][] = [];
    const settler = openSettler(redis, {
      take: async (_code, jobs) => {
        given.push(jobs.map(({ id }) => id));
        if (given.length === 1) throw new Error("not now");
      },
    });

    await expect(settler.run()).rejects.toThrow("not now");
    await settler.run();

    expect(given).toEqual([submitted, submitted]);
  });

  test("leaves a slot to the ingress that looks after it", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    await submit();
    await ingress.settleNow();
    await endJob(worker);

    expect(await openSettler(redis).run()).toBe(0);
    expect(await ingress.settleNow()).toBe(1);
  });

  test("reports what it cannot read, and goes on", async ({
    ingress,
    redis,
    reports,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const code = modelCodeOf(await submit());
    await redis.xadd(keys.outbox(code), "*", "job", "nonsense");
    await endJob(worker);

    const settled = await ingress.settleNow();

    expect(settled).toBe(1);
    expect(reports.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^entry \d+-\d+ of the outbox of \w+ cannot be read$/),
    ]);
    expect(await redis.xlen(keys.outbox(code))).toBe(0);
  });

  test("settles what ended while no ingress was there, also after a crash of Redis", async () => {
    const server = await RedisServer.start({ appendfsync: "always" });
    onTestFinished(() => server.stop());
    const redis = new Redis(server.url);
    redis.on("error", () => {});
    onTestFinished(() => redis.disconnect());
    const worker = new TestWorker();
    await worker.open(server.url, { version: "v1", report: () => {} });
    onTestFinished(() => worker.stop());
    const open = async (): Promise<IngressBroker> => {
      const options = { redisUrl: server.url, durability: "redis" } as const;
      const ingress = new IngressBroker({ ...options, report: () => {} });
      onTestFinished(() => ingress.close());
      await ingress.assertReady(READY_MS);
      return ingress;
    };
    const first = await open();
    await first.submit(await submission(first));
    await endJob(worker);
    await first.settleNow();
    await first.submit(await submission(first));
    await first.close();
    await endJob(worker);

    await server.kill();
    await server.restart();
    const second = await open();
    await redis.del(keys.sweep((await second.getModel(MODEL)).code));
    const settled = await second.settleNow();

    expect(settled).toBe(1);
    expect(countJobs(await readAll(redis))).toBe(2);
  });
});
