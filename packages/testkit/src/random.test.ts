import { describe, expect, test } from "vitest";

import { Random } from "./random.ts";

const draw = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => random.next());

describe("Random", () => {
  test("repeats its draws for the same seed, and no other", () => {
    expect(draw(new Random(7), 100)).toEqual(draw(new Random(7), 100));
    expect(draw(new Random(7), 1)).not.toEqual(draw(new Random(8), 1));
  });

  test("keeps the draws it is known for: a seed printed last year still replays", () => {
    const random = new Random(1);

    expect(Array.from({ length: 5 }, () => random.between(0, 999))).toEqual([
      367, 81, 820, 701, 149,
    ]);
  });

  test("forks sources that do not depend on what was drawn before", () => {
    const fresh = new Random(7);
    const used = new Random(7);
    draw(used, 13);

    expect(draw(used.fork("faults"), 10)).toEqual(draw(fresh.fork("faults"), 10));
    expect(draw(fresh.fork("faults"), 1)).not.toEqual(draw(fresh.fork("jobs"), 1));
  });

  test("draws evenly, bounds included", () => {
    const random = new Random(3);
    const counts = new Map<number, number>();
    for (let at = 0; at < 60_000; at += 1) {
      const value = random.between(1, 6);
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }

    expect([...counts.keys()].toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  test("says yes as often as it is told to, and picks what there is", () => {
    const random = new Random(5);
    const yes = Array.from({ length: 10_000 }, () => random.chance(0.2)).filter(Boolean);

    expect(Math.abs(yes.length - 2_000)).toBeLessThan(200);
    expect(["a", "b"]).toContain(random.pick(["a", "b"]));
    expect(() => random.pick([])).toThrow("nothing to pick");
  });
});
