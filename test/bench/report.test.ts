import { describe, expect, test } from "vitest";

import type { Figure } from "./figure.ts";
import { reportSchema, toJson, toTable } from "./report.ts";

const figures: readonly Figure[] = [
  {
    name: "added_ttft_ms",
    value: 2.34567,
    unit: "ms",
    limit: { value: 3.5, bound: "at_most" },
    ok: true,
    spread: [2.1, 2.9],
  },
  {
    name: "streams",
    value: 999,
    unit: "complete",
    limit: { value: 1_000, bound: "at_least" },
    ok: false,
    spread: [999, 999],
  },
  { name: "bare", value: 22_531.4, unit: "jobs/s", limit: null, ok: true, spread: [1, 2] },
];

describe("the JSON", () => {
  test("has one object per figure, by name", () => {
    expect(JSON.parse(toJson(figures))).toEqual({
      added_ttft_ms: { value: 2.34567, unit: "ms", limit: 3.5, ok: true, spread: [2.1, 2.9] },
      streams: { value: 999, unit: "complete", limit: 1_000, ok: false, spread: [999, 999] },
      bare: { value: 22_531.4, unit: "jobs/s", limit: null, ok: true, spread: [1, 2] },
    });
  });

  test("has the shape it says it has", () => {
    expect(reportSchema.safeParse(JSON.parse(toJson(figures))).success).toBe(true);
  });
});

describe("the table", () => {
  test("aligns names left and numbers right, and says which way a limit lies", () => {
    expect(toTable(figures)).toBe(
      [
        "figure          value  unit        limit  ok      spread",
        "added_ttft_ms   2.346  ms          ≤ 3.5  yes  2.1 – 2.9",
        "streams           999  complete  ≥ 1,000  NO",
        "bare           22,531  jobs/s                      1 – 2",
        "",
      ].join("\n"),
    );
  });
});
