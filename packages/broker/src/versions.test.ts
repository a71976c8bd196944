import { START, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, TestReader } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {} } as const;

describe("a job that a later version of Headrace made", () => {
  test("is left to a worker that can read it, and is none the worse for it", async ({
    redis,
    reports,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const spec = (await redis.hget(keys.entry(job), "spec")) ?? "";
    const later = await makeLater(redis, job);

    worker.takeMore(1);
    await expect
      .poll(() => reports.map(({ message }) => message))
      .toContain(`${job} was made by a later version, and is left to its workers`);
    // From here on it is as if this were a worker of that version.
    await redis.hset(keys.entry(job), "spec", spec);
    const { attempt } = await worker.next();

    expect(later).not.toBe(spec);
    expect(attempt).toMatchObject({ job, epoch: 2, attempts: 1 });
    expect(await redis.hget(keys.entry(job), "deaths")).toBe("0");
  });

  test("does not keep those behind it from running, and is told of once for many", async ({
    redis,
    reports,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    for (let count = 0; count < 3; count += 1) await makeLater(redis, await submit());
    const job = await submit();

    worker.takeMore(2);
    const { attempt } = await worker.next();

    expect(attempt.job).toBe(job);
    expect(reports).toHaveLength(1);
  });

  test("goes to a worker that can read it as soon as it is given back", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const jobs = [await submit(), await submit(), await submit(), await submit()];
    for (const job of jobs) await makeLater(redis, job);
    worker.free(jobs.length);
    // One attempt each: all are kept by the worker that cannot read them.
    await expect.poll(() => countEpochs(redis, jobs)).toBe(jobs.length);
    const later = await startWorker();
    for (const job of jobs) await makeReadable(redis, job);
    const taken = [await later.next(), await later.next(), await later.next(), await later.next()];

    expect(taken.map(({ attempt }) => attempt.epoch)).toEqual([2, 2, 2, 2]);
    expect(worker.attempts).toEqual([]);
  });

  test("is told of by nobody who cannot read it, and keeps no other from being listed", async ({
    ingress,
    redis,
    submit,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const [later, job] = [await submit(), await submit()];
    await makeLater(redis, later);
    const list = { status: null, model: null, limit: 10, after: null };

    await expect(ingress.getJob("default", later)).rejects.toMatchObject({
      code: "job_of_later_version",
      status: 503,
    });
    await expect(ingress.getJob("other", later)).rejects.toMatchObject({ code: "job_not_found" });
    const { jobs } = await ingress.listJobs("default", list);
    expect(jobs.map(({ id }) => id)).toEqual([job]);
  });

  test("runs where all that is new can be passed over", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const spec = (await redis.hget(keys.entry(job), "spec")) ?? "";
    await redis.hset(keys.entry(job), "spec", spec.replace("{", '{"tone":"warm",'), "mood", "good");
    const reader = new TestReader();
    await ingress.follow(job, START, reader);

    worker.takeMore(1);
    const source = await worker.next();
    source.say("said");
    const lost = await worker.broker.finish(source, { ...DONE, items: source.take() });
    await reader.whenEnded();

    expect(lost).toBeNull();
    expect(reader.text).toBe("said");
  });
});

/** As if a later version had made the job. @returns its spec */
async function makeLater(redis: Redis, job: JobId): Promise<string> {
  const spec = (await redis.hget(keys.entry(job), "spec")) ?? "";
  const later = spec.replace("/v1/chat/completions", "/v9/thoughts");
  await redis.hset(keys.entry(job), "spec", later);
  return later;
}

/** As if every worker from here on were of the version that made the job. */
async function makeReadable(redis: Redis, job: JobId): Promise<void> {
  const spec = (await redis.hget(keys.entry(job), "spec")) ?? "";
  await redis.hset(keys.entry(job), "spec", spec.replace("/v9/thoughts", "/v1/chat/completions"));
}

async function countEpochs(redis: Redis, jobs: readonly JobId[]): Promise<number> {
  const epochs = await Promise.all(jobs.map((job) => redis.hget(keys.entry(job), "epoch")));
  return epochs.reduce((sum, epoch) => sum + Number(epoch ?? 0), 0);
}
