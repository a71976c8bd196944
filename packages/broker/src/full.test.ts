import { modelCodeOf, START, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect, vi } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest, TestReader } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {}, items: [] } as const;
/** Longer than a lock lives unless it is renewed. */
const LONGER_THAN_A_LOCK_MS = 16_000;

/** Has Redis refuse every command that could take memory, until the test is over. */
const test = brokerTest.extend("fill", ({ redis }, { onCleanup }) => {
  onCleanup(() => setMemory(redis, "0"));
  return async (): Promise<void> => setMemory(redis, "1");
});

async function setMemory(redis: Redis, bytes: string): Promise<void> {
  await redis.config("SET", "maxmemory", bytes);
}

describe("a Redis that is full", () => {
  test("lets jobs that are under way end, and readers hear of it", async ({
    fill,
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    const source = await worker.next();
    await fill();

    source.say("all the same");
    worker.broker.notify(source, true);
    await reader.when(({ text }) => text === "all the same");
    const lost = await worker.broker.finish(source, DONE);
    await reader.whenEnded();

    expect(lost).toBeNull();
    await expect(redis.set("more", "x")).rejects.toThrow("OOM");
  });

  test("lets jobs be cancelled, and expire", async ({ fill, ingress, startWorker, submit }) => {
    const worker = await startWorker();
    worker.slots = 1;
    const running = await submit();
    await worker.next();
    const late = await submit({ deadlineMs: -1 });
    await fill();

    await ingress.cancel(await ingress.getJob("default", running));
    await ingress.sweepNow();

    expect((await ingress.getJob("default", running)).status).toBe("cancelled");
    expect((await ingress.getJob("default", late)).status).toBe("expired");
  });

  test("refuses new jobs, and goes on with the queue once it has room", async ({
    fill,
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const before = await submit();
    const source = await worker.next();
    await fill();

    const refused = await submit().catch((error: unknown) => error);
    await worker.broker.finish(source, DONE);
    await setMemory(redis, "0");
    // What the ingress knows of Redis' memory is a little old.
    const retried = async (): Promise<JobId | null> => submit().catch(() => null);
    const after = await vi.waitUntil(retried, { timeout: 5_000 });
    const { attempt } = await worker.next();
    await ingress.sweepNow();

    expect(refused).toMatchObject({ code: expect.stringMatching(/^queue_(full|unavailable)$/) });
    expect(attempt.job).toBe(after);
    const active = keys.queue(modelCodeOf(before), "v1", "active");
    expect(await redis.lrange(active, 0, -1)).toEqual([after]);
  });

  test(
    "leaves running jobs to their workers, and hears little of it",
    { timeout: LONGER_THAN_A_LOCK_MS + 10_000 },
    async ({ fill, reports, startWorker, submit }) => {
      const worker = await startWorker();
      await submit();
      const source = await worker.next();
      await fill();
      const reportedBefore = reports.length;

      await new Promise((resolve) => setTimeout(resolve, LONGER_THAN_A_LOCK_MS));
      const reported = reports.length - reportedBefore;
      const lost = await worker.broker.finish(source, DONE);

      expect(worker.lockLost).toEqual([]);
      expect(lost).toBeNull();
      // A puller that asks again at once reports thousands of refusals a second.
      expect(reported / (LONGER_THAN_A_LOCK_MS / 1_000)).toBeLessThan(10);
    },
  );
});
