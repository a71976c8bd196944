import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { toStanding } from "./standing.ts";
import { brokerTest as test, submission } from "./test-bench.ts";

describe("where a job stands", () => {
  test("is at its start while a worker with room waits for jobs", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    await startWorker();
    const next = await submission(ingress);
    const idle = keys.idle(next.model.code, "v1");
    await expect.poll(() => redis.exists(idle)).toBe(1);

    const { standing } = await ingress.submit(next);

    expect(standing).toEqual({ ahead: 0, etaSeconds: 0, reason: "dispatching" });
  });

  test("is judged by the drain rate once jobs wait for workers", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const idle = keys.idle((await submission(ingress)).model.code, "v1");
    await expect.poll(() => redis.exists(idle)).toBe(1);
    worker.slots = 1;
    await submit();
    await worker.next();
    await redis.del(idle);
    await submit();

    const { id, standing } = await ingress.submit(await submission(ingress));
    const later = await ingress.getStanding(await ingress.getJob("default", id));

    for (const found of [standing, later]) {
      expect(found).toMatchObject({ ahead: 1, reason: "backlog" });
      expect(found?.etaSeconds).toBeGreaterThan(0);
    }
    expect(await redis.exists(idle)).toBe(0);
  });

  test("counts the jobs ahead and the one itself at the rate of the last minute", () => {
    const counts = { ahead: 3, starts: 20, spanMs: 10_000, workers: 1 };

    expect(toStanding({ ...counts, isIdle: false }).etaSeconds).toBe(2);
    expect(toStanding({ ...counts, isIdle: true }).etaSeconds).toBe(0);
  });
});
