import { stripVTControlCharacters } from "node:util";

import type { Batch } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { testTerminal } from "../test-output.ts";
import { ProgressDisplay } from "./progress-display.ts";
import { describeProgress, drawBar, fitLine, formatRoughly } from "./progress-text.ts";

const BATCH: Batch = {
  id: "batch_1",
  object: "batch",
  endpoint: "/v1/completions",
  model: "m",
  errors: null,
  input_file_id: "file-1",
  completion_window: "24h",
  status: "in_progress",
  output_file_id: null,
  error_file_id: null,
  created_at: 1,
  in_progress_at: 2,
  expires_at: 3,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: { total: 1_050_000, completed: 999_999, failed: 12_345 },
  usage: null,
  metadata: null,
  progress: {
    tokens: 1,
    tokens_per_second: 123_456,
    lines_per_second: 1,
    eta_seconds: 46_000,
    cost: null,
    bottleneck: "engine",
    waiting_for: null,
  },
};

describe("a progress line", () => {
  test("says what there is to say, and never rounds up to all", () => {
    const text = fitLine(describeProgress(BATCH), Number.POSITIVE_INFINITY);
    const nearly = { ...BATCH, request_counts: { total: 1_000, completed: 999, failed: 0 } };

    expect(text).toBe(
      " 96 % · 1,012,344/1,050,000 · 12,345 failed · 123,456 tokens/s · 12 h 46 min left · engines full",
    );
    expect(fitLine(describeProgress(nearly), 10)).toMatch(/^ 99 %/);
  });

  test.for([200, 80, 60, 40, 20, 8, 2])("fits a terminal of %i columns", (columns) => {
    const terminal = testTerminal({ isTty: true, columns });
    new ProgressDisplay(terminal, { asJson: false }).show(BATCH);
    const line = stripVTControlCharacters(terminal.err.text).replace("\r", "");

    expect(line.length).toBeLessThan(columns);
    expect(line.length).toBeGreaterThan(0);
  });

  test("says what a batch waits for before all but its share", () => {
    const progress = { ...BATCH.progress, waiting_for: "storage" as const };

    expect(fitLine(describeProgress({ ...BATCH, progress }), 30)).toBe(
      " 96 % · waiting for storage",
    );
  });

  test("comes in a log for what is new, else every ten seconds", () => {
    const terminal = testTerminal();
    let now = 0;
    const display = new ProgressDisplay(terminal, { asJson: false, now: () => now });
    for (now = 0; now <= 21_000; now += 1_000) display.show(BATCH);
    display.show({ ...BATCH, status: "finalizing" });

    expect(terminal.err.text.trim().split("\n")).toHaveLength(4);
    expect(terminal.err.text).toContain("writing the files");
  });
});

test("a bar is as long as its share, to an eighth of a character", () => {
  expect([0, 0.5, 0.55, 1, 7].map((share) => drawBar(share, 4))).toEqual([
    "░░░░",
    "██░░",
    "██▏░",
    "████",
    "████",
  ]);
});

test("times that nobody knows are rounded", () => {
  expect([0, 6.2, 59.5, 90, 4_000].map(formatRoughly)).toEqual([
    "1 s",
    "7 s",
    "60 s",
    "90.0 s",
    "1 h 6 min",
  ]);
});
