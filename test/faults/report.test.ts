import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { FAULT_RUNS } from "./matrix.ts";
import { atMost, told } from "./promises.ts";
import { publish } from "./report.ts";
import type { FaultRun } from "./run.ts";

const [first, second] = FAULT_RUNS;

test("the matrix keeps each class' latest run, and says what was missed", ({ onTestFinished }) => {
  const folder = mkdtempSync(join(tmpdir(), "headrace-matrix-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const enter = (faultRun: FaultRun | undefined, seed: number, lost: number): void => {
    if (faultRun === undefined) throw new RangeError("two classes are needed");
    const figures = { lost_jobs: atMost(lost, 0, ""), longest_s: told(Number.NaN, "s") };
    publish(folder, { faultRun, outcome: { figures, findings: [] }, seed, seconds: 9 });
  };

  enter(first, 1, 2);
  enter(second, 2, 3);
  enter(first, 4, 0);
  const page = readFileSync(join(folder, "fault-matrix.md"), "utf8");

  expect(page).toMatch(/Seed 4, \d{4}-\d\d-\d\d, \d+ cores, \d+ GiB, 9 s\./);
  expect(page).toContain("Seed 2,");
  expect(page).not.toContain("Seed 1,");
  expect(page).toContain("| lost jobs | 0 | ≤ 0 |");
  expect(page).toContain("| lost jobs | **3, missed** | ≤ 0 |");
  expect(page).toContain("| longest s | none |  |");
  expect(page).toContain("Not run at full size yet.");
});
