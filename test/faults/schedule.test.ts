import { Random } from "@headrace/testkit/instruments";
import { describe, expect, test } from "vitest";

import { carryOut, planFaults, Progress } from "./schedule.ts";

const COUNTS = { kill: 30, pause: 20, restart: 4 } as const;

describe("a plan", () => {
  test("is the same for the same seed, and another for another", () => {
    const plan = planFaults(new Random(1), 10_000, COUNTS);

    expect(planFaults(new Random(1), 10_000, COUNTS)).toEqual(plan);
    expect(planFaults(new Random(2), 10_000, COUNTS)).not.toEqual(plan);
  });

  test("has as many faults of each kind as asked for, in order, all under load", () => {
    const plan = planFaults(new Random(1), 10_000, COUNTS);
    const times = plan.map(({ afterJobs }) => afterJobs);

    expect(Object.groupBy(plan, ({ kind }) => kind)).toMatchObject({
      kill: { length: 30 },
      pause: { length: 20 },
      restart: { length: 4 },
    });
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.min(...times)).toBeGreaterThanOrEqual(300);
    expect(Math.max(...times)).toBeLessThanOrEqual(9_500);
  });

  test("is carried out as far as the run has come, in order", async () => {
    const progress = new Progress();
    const plan = planFaults(new Random(1), 100, { kill: 5, pause: 5 });
    const struck: string[] = [];
    const strike = async ({ kind }: { kind: string }): Promise<void> => {
      struck.push(`${kind} at ${progress.count}`);
      await Promise.resolve();
    };

    const carriedOut = carryOut(plan, progress, { kill: strike, pause: strike });
    for (let count = 0; count < 100; count += 1) {
      progress.advance();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await carriedOut;

    expect(struck).toEqual(plan.map(({ kind, afterJobs }) => `${kind} at ${afterJobs}`));
  });
});
