import { modelCodeOf } from "@headrace/contract";
import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, submission } from "./test-bench.ts";

/** Well below the two seconds after which a worker looks by itself. */
const AT_ONCE_MS = 1_000;

/** A worker with room, but none for batch work, and batch work that waits. */
const pickyTest = test.extend("picky", async ({ startWorker, submit, ingress, redis }) => {
  const worker = await startWorker();
  worker.batchSlots = 0;
  await submit({ priority: "batch" });
  const { code } = (await submission(ingress)).model;
  // It has found the job, and waits for others.
  await expect.poll(() => redis.exists(keys.picky(code, "v1"))).toBe(1);
  return worker;
});

describe("a worker without room for batch work", () => {
  pickyTest("leaves it in the queue", async ({ picky, submit, redis }) => {
    const job = await submit({ priority: "batch" });

    const other = await submit({ priority: "standard" });

    expect((await picky.next()).attempt.job).toBe(other);
    const set = keys.queue(modelCodeOf(job), "v1", "prioritized");
    expect(await redis.zscore(set, job)).not.toBeNull();
  });

  pickyTest("is told at once of a job that is none", async ({ picky, submit }) => {
    for (const priority of ["interactive", "standard", "interactive"] as const) {
      const submittedAt = performance.now();
      const job = await submit({ priority });

      const { attempt } = await picky.next();

      expect(attempt.job).toBe(job);
      expect(performance.now() - submittedAt).toBeLessThan(AT_ONCE_MS);
    }
  });

  pickyTest("takes it as soon as it has room", async ({ picky }) => {
    const freedAt = performance.now();

    picky.freeForBatch(1);

    expect((await picky.next()).attempt.spec.priority).toBe("batch");
    expect(performance.now() - freedAt).toBeLessThan(AT_ONCE_MS);
    expect(picky.batchSlots).toBe(0);
  });

  pickyTest(
    "takes it all the same when it goes first, so that none starves",
    async ({ picky, submit, redis }) => {
      const job = await submit({ priority: "batch" });
      const code = modelCodeOf(job);
      await redis.zadd(keys.queue(code, "v1", "prioritized"), 3, job);
      await redis.zadd(keys.others(code, "v1"), 0, "0");

      expect((await picky.next()).attempt.job).toBe(job);
    },
  );

  pickyTest("is told of a job that another hands back", async ({ picky, submit }) => {
    const first = await submit({ priority: "standard" });
    const source = await picky.next();
    const handedBackAt = performance.now();

    await picky.broker.release(source, "handed_back", null);

    expect((await picky.next()).attempt.job).toBe(first);
    expect(performance.now() - handedBackAt).toBeLessThan(AT_ONCE_MS);
  });

  pickyTest(
    "leaves batch work that comes to a worker that has room",
    async ({ picky, startWorker, submit }) => {
      const roomy = await startWorker();
      await roomy.next();
      const submittedAt = performance.now();

      const job = await submit({ priority: "batch" });

      expect((await roomy.next()).attempt.job).toBe(job);
      expect(performance.now() - submittedAt).toBeLessThan(AT_ONCE_MS);
      expect(picky.attempts).toHaveLength(0);
    },
  );
});
