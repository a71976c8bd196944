import { newBatchId, modelCodeOf } from "@headrace/contract";
import { describe, expect } from "vitest";

import { forgetBatchDemand, writeBatchDemand, type BatchDemand } from "./batches/batch-demand.ts";
import { readRedisMs } from "./clock.ts";
import { brokerTest as test, MODEL } from "./test-bench.ts";

const HOUR_MS = 3_600_000;

describe("the demand for a model", () => {
  test("is its jobs, whoever waits for them, and whether a worker has them or not", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    await submit();
    await worker.next();
    worker.slots = 0;
    await submit({ priority: "interactive" });
    await submit({ priority: "standard" });
    await submit({ priority: "batch" });

    const demand = await ingress.readDemand();

    expect(demand).toEqual([
      {
        model: MODEL,
        version: "v1",
        demand: 4,
        waiting: { interactive: 1, standard: 1, batch: 1 },
        active: 1,
        batches: { open: 0, lines_left: 0, demand: 0 },
      },
    ]);
  });

  test("has lines of batches by their window, whether they are in the queue or in a file", async ({
    redis,
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const code = modelCodeOf(await submit({ priority: "batch" }));
    await submit({ priority: "batch" });
    const nowMs = await readRedisMs(redis);
    const relaxed = { left: 36_000, underWay: 1, lineMs: 1_000, endsAtMs: nowMs + 10 * HOUR_MS };
    const batches: readonly BatchDemand[] = [
      relaxed,
      { left: 5, underWay: 0, lineMs: 1_000, endsAtMs: nowMs + 10 * HOUR_MS },
      { ...relaxed, underWay: 0, endsAtMs: nowMs - 1 },
    ];
    const ids = batches.map(() => newBatchId());
    for (const [i, batch] of ids.entries()) {
      await writeBatchDemand(redis, { code, batch }, batches[i] ?? relaxed);
    }

    const [demand] = await ingress.readDemand();
    const isKept = await redis.hlen(`hr:{${code}}:batch-demand`);
    for (const batch of ids) await forgetBatchDemand(redis, { code, batch });
    const [without] = await ingress.readDemand();

    // 36,000 s of work in 80 % of ten hours take 1.25 at a time; five lines one; one job is no line.
    expect(demand?.batches.open).toBe(2);
    expect(demand?.batches.lines_left).toBe(36_005);
    expect(demand?.batches.demand).toBeCloseTo(2.25, 1);
    expect(demand?.demand).toBeCloseTo(3.25, 1);
    expect(isKept).toBe(2);
    expect(without?.demand).toBe(2);
  });

  test("is no more than all that is left, however late it is", async ({
    redis,
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const code = modelCodeOf(await submit());
    const endsAtMs = (await readRedisMs(redis)) + 2_000;
    await writeBatchDemand(
      redis,
      { code, batch: newBatchId() },
      { left: 40, underWay: 0, lineMs: 60_000, endsAtMs },
    );

    const [demand] = await ingress.readDemand();

    expect(demand?.batches.demand).toBe(40);
    expect(demand?.demand).toBe(41);
  });
});
