import { describe, expect, test } from "vitest";

import { median, quantile } from "./statistics.ts";

describe("the median", () => {
  test.each([
    { values: [3], middle: 3 },
    { values: [9, 1, 5], middle: 5 },
    { values: [4, 1, 3, 2], middle: 2.5 },
    { values: [], middle: NaN },
  ])("of $values is $middle", ({ values, middle }) => {
    expect(median(values)).toBe(middle);
  });

  test("leaves the values in their order", () => {
    const values = [3, 1, 2];

    median(values);

    expect(values).toEqual([3, 1, 2]);
  });
});

describe("a quantile", () => {
  const hundred = Array.from({ length: 100 }, (_value, index) => 100 - index);

  test.each([
    { share: 0, value: 1 },
    { share: 0.5, value: 50 },
    { share: 0.99, value: 99 },
    { share: 1, value: 100 },
  ])("is the least value that $share of them do not exceed", ({ share, value }) => {
    expect(quantile(hundred, share)).toBe(value);
  });

  test("of nothing is no number", () => {
    expect(quantile([], 0.5)).toBeNaN();
  });
});
