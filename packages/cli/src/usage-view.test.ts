import type { UsageReport } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { testOutput } from "./test-output.ts";
import { renderUsage } from "./usage-view.ts";

const sums = {
  jobs: 12,
  input_tokens: 1_200,
  output_tokens: 96_000,
  gpu_seconds: 90.04,
  cost: 0.05,
};
const report: UsageReport = {
  object: "usage",
  tenant: "acme",
  from: "2026-11-24",
  to: "2026-11-25",
  currency: "EUR",
  data: [
    { day: "2026-11-24", key: "root", model: null, ...sums },
    { day: "2026-11-25", key: "k_longer", model: null, ...sums, jobs: 1 },
  ],
  total: { ...sums, jobs: 13 },
};

describe("renderUsage", () => {
  test("gives each group a line, and their sum the last", () => {
    expect(renderUsage(report, testOutput())).toEqual([
      "  acme, 2026-11-24 to 2026-11-25 (UTC)",
      "",
      "  day         key       jobs  tokens in  tokens out  GPU s     EUR",
      "  2026-11-24  root        12      1,200      96,000   90.0  0.0500",
      "  2026-11-25  k_longer     1      1,200      96,000   90.0  0.0500",
      "  total                   13      1,200      96,000   90.0  0.0500",
    ]);
  });

  test("gives one line where all is summed up", () => {
    const data = [{ day: null, key: null, model: null, ...sums }];

    expect(renderUsage({ ...report, data, currency: null }, testOutput()).slice(2)).toEqual([
      "  jobs  tokens in  tokens out  GPU s    cost",
      "    12      1,200      96,000   90.0  0.0500",
    ]);
  });

  test("says that nothing was used", () => {
    expect(renderUsage({ ...report, data: [] }, testOutput()).at(-1)).toBe("  Nothing was used.");
  });
});
