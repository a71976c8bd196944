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

  const counts = { ahead: 3, peers: 3, starts: 20, sooner: 0, spanMs: 10_000, workers: 1 };

  test("counts the jobs ahead and the one itself at the rate of the last minute", () => {
    expect(toStanding({ ...counts, isIdle: false }, "interactive").etaSeconds).toBe(2);
    expect(toStanding({ ...counts, isIdle: true }, "interactive").etaSeconds).toBe(0);
  });

  test("takes what the classes before it will still bring into account", () => {
    const busy = { ...counts, sooner: 15, isIdle: false };

    expect(toStanding({ ...busy, peers: 100, ahead: 100 }, "standard").etaSeconds).toBe(202);
    expect(toStanding(busy, "standard").etaSeconds).toBe(8);
  });

  test("is at worst what the class is granted", () => {
    const crowded = { ...counts, ahead: 500, peers: 0, sooner: 20, isIdle: false };

    expect(toStanding(crowded, "standard").etaSeconds).toBe(2.5);
    expect(toStanding(crowded, "batch").etaSeconds).toBe(10);
  });
});
