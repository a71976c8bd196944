import { describe, expect, test } from "vitest";

import { BatchLimit } from "./batch-limit.ts";

/** Steps of a GPU that reads its weights in 6 ms, and computes a sequence in 0.08. */
const stepMs = (inFlight: number): number => Math.max(6, 0.08 * inFlight);

/** Look at an engine whose limit is always in use. @returns the limit after each look */
function look(
  limit: BatchLimit,
  looks: number,
  measure: (inFlight: number) => number | null = stepMs,
): number[] {
  return Array.from({ length: looks }, () => {
    limit.reach();
    limit.onLook(measure(limit.size), limit.size);
    return limit.size;
  });
}

describe("the limit to batch work beside others", () => {
  test("comes to stand where more jobs make steps longer", () => {
    const sizes = look(new BatchLimit(), 60).slice(30);

    expect(Math.min(...sizes)).toBeGreaterThan(75);
    expect(Math.max(...sizes)).toBeLessThan(115);
  });

  test("comes down in proportion when much is in flight already", () => {
    const limit = new BatchLimit();
    look(limit, 5, () => 6);

    limit.onLook(stepMs(300), 300);
    limit.onLook(stepMs(200), 200);

    expect(limit.size).toBeLessThanOrEqual(94);
  });

  test("does not grow while it is not in use", () => {
    const limit = new BatchLimit();

    for (let count = 0; count < 20; count += 1) limit.onLook(6, 10);

    expect(limit.size).toBe(32);
  });

  test("is not misled by one measurement that is too short", () => {
    const limit = new BatchLimit();
    look(limit, 5, () => 6);
    limit.onLook(0.1, 32);
    const before = limit.size;

    look(limit, 3, () => 6);

    expect(limit.size).toBeGreaterThanOrEqual(before);
  });

  test("never keeps batch work from the engine altogether", () => {
    const limit = new BatchLimit();
    look(limit, 5, () => 1);

    look(limit, 50, () => 1_000);

    expect(limit.size).toBe(16);
  });

  test("pauses to measure where none could be, and grows where that does not help", () => {
    const limit = new BatchLimit();
    const pauses: boolean[] = [];
    for (let count = 0; count < 7; count += 1) {
      look(limit, 1, () => null);
      pauses.push(limit.isPausing);
    }

    expect(pauses).toEqual([false, false, false, false, false, true, false]);
    expect(limit.size).toBe(36);
  });

  test("does not pause while it is not in use", () => {
    const limit = new BatchLimit();

    for (let count = 0; count < 20; count += 1) limit.onLook(null, 10);

    expect(limit.isPausing).toBe(false);
  });
});
