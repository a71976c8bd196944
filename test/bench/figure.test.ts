import { describe, expect, test } from "vitest";

import { toFigures, type Limit, type Measurement } from "./figure.ts";

const atMost = (value: number): Limit => ({ value, bound: "at_most" });
const atLeast = (value: number): Limit => ({ value, bound: "at_least" });

function measurement(value: number, limit: Limit | null = null): Measurement {
  return { value, unit: "ms", limit };
}

describe("a figure", () => {
  test("of one run spreads over its rounds", () => {
    const [figure] = toFigures([{ time: { ...measurement(5), rounds: [4, 7, 5] } }]);

    expect(figure).toEqual({
      name: "time",
      value: 5,
      unit: "ms",
      limit: null,
      ok: true,
      spread: [4, 7],
    });
  });

  test("of a run without rounds does not spread", () => {
    const [figure] = toFigures([{ time: measurement(5) }]);

    expect(figure?.spread).toEqual([5, 5]);
  });

  test("of several runs is their median, and spreads over them", () => {
    const runs = [8, 2, 3].map((value) => ({ time: { ...measurement(value), rounds: [0, 99] } }));

    expect(toFigures(runs)).toMatchObject([{ value: 3, spread: [2, 8] }]);
  });

  test("may equal its limit", () => {
    const figures = toFigures([
      { most: measurement(5, atMost(5)), least: measurement(5, atLeast(5)) },
    ]);

    expect(figures.map(({ ok }) => ok)).toEqual([true, true]);
  });

  test("misses a limit from either side", () => {
    const figures = toFigures([
      { most: measurement(6, atMost(5)), least: measurement(4, atLeast(5)) },
    ]);

    expect(figures.map(({ ok }) => ok)).toEqual([false, false]);
  });

  test("is missed when one run misses its own limit, whatever the medians say", () => {
    const [figure] = toFigures([
      { time: measurement(5, atMost(4)) },
      { time: measurement(5, atMost(6)) },
      { time: measurement(5, atMost(7)) },
    ]);

    expect(figure).toMatchObject({ value: 5, limit: atMost(6), ok: false });
  });

  test("that is no number misses any limit", () => {
    const [figure] = toFigures([{ time: measurement(NaN, atMost(5)) }]);

    expect(figure?.ok).toBe(false);
  });

  test("need not be found by every run", () => {
    const figures = toFigures([{ one: measurement(1) }, { other: measurement(2) }]);

    expect(figures.map(({ name, value }) => [name, value])).toEqual([
      ["one", 1],
      ["other", 2],
    ]);
  });
});
