import { modelCodeOf } from "@headrace/contract";
import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, type TestSource, type TestWorker } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {}, items: [] } as const;

describe("a Redis that is without its replicas for a moment", () => {
  test("is asked again, and costs an attempt nothing", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    source.say("said ");
    await redis.config("SET", "min-replicas-to-write", "1");
    worker.broker.notify(source, true);
    await expect
      .poll(() => redis.info("errorstats"), { timeout: 3_000 })
      .toContain("errorstat_NOREPLICAS");
    const end = worker.broker.finish(source, DONE);

    await redis.config("SET", "min-replicas-to-write", "0");

    expect(await end).toBeNull();
    expect(await redis.hmget(keys.entry(job), "state", "next")).toEqual(["completed", "3"]);
  });
});

describe("an end that Redis refuses for good", () => {
  test.for([
    ["finish", (worker: TestWorker, source: TestSource) => worker.broker.finish(source, DONE)],
    [
      "release",
      (worker: TestWorker, source: TestSource) =>
        worker.broker.release(source, "handed_back", null),
    ],
    ["abandon", (worker: TestWorker, source: TestSource) => worker.broker.abandon(source, "gap")],
  ] as const)(
    "is nobody's job for ever by %s: its lock runs out",
    { timeout: 15_000 },
    async ([, tell], { redis, startWorker, submit }) => {
      const worker = await startWorker();
      worker.slots = 1;
      const job = await submit();
      const source = await worker.next();
      await redis.set(keys.entry(job), "not a hash");

      await expect(tell(worker, source)).rejects.toThrow("WRONGTYPE");
      await redis.del(keys.entry(job));

      // Renewed, it would live for ten seconds at the least.
      const lock = keys.lock(modelCodeOf(job), "v1", job);
      await expect.poll(() => redis.pttl(lock), { timeout: 8_000 }).toBeLessThan(9_500);
    },
  );

  test("does not drop from the queue what the ledger still has", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    await redis.del(keys.log(job));
    await redis.set(keys.log(job), "not a stream");
    source.say("said ");
    worker.broker.notify(source, true);

    const reason = await source.lost;

    expect(reason).toBe("lock_lost");
  });
});
