import { START } from "@headrace/contract";
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
    const later = spec.replace("/v1/chat/completions", "/v9/thoughts");
    await redis.hset(keys.entry(job), "spec", later);

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
