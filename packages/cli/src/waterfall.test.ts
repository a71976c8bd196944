import type { Latency } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { testOutput } from "./test-output.ts";
import { renderWaterfall } from "./waterfall.ts";

const latency: Latency = {
  job: "job",
  total_seconds: 2,
  ttft_seconds: 1.5,
  tpot_seconds: 0.1,
  stages: [
    { stage: "admit", seconds: 0.0001 },
    { stage: "queue", seconds: 0.9999 },
    { stage: "lost_attempts", seconds: 0 },
    { stage: "prefill", seconds: 0.5, estimated: true },
    { stage: "decode", seconds: 0.5 },
    { stage: "finish", seconds: 0 },
  ],
  attempts: 1,
};

describe("renderWaterfall", () => {
  test("begins each bar where the one before ended, in aligned columns", () => {
    expect(renderWaterfall(latency, testOutput({ columns: 51 }))).toEqual([
      "  admit     0.0001 s   0.0 %  ▏",
      "  queue     0.9999 s  50.0 %  ██████████",
      "  prefill  ~0.5000 s  25.0 %            █████",
      "  decode    0.5000 s  25.0 %                 █████",
      "  finish    0.0000 s   0.0 %",
    ]);
  });

  test("fits any width from the least on", () => {
    for (const columns of [39, 40, 60, 80, 400]) {
      const widths = renderWaterfall(latency, testOutput({ columns })).map(({ length }) => length);

      expect(Math.max(...widths), `in ${columns} columns`).toBeLessThan(columns);
    }
  });

  test("does without bars where there is no room", () => {
    const lines = renderWaterfall(latency, testOutput({ columns: 38 }));

    expect(lines[1]).toBe("  queue     0.9999 s  50.0 %");
  });

  test("shows a stage of no length at the very end without leaving the frame", () => {
    const stages: Latency["stages"] = [
      { stage: "decode", seconds: 2 },
      { stage: "finish", seconds: 1e-9 },
    ];
    const lines = renderWaterfall({ ...latency, stages }, testOutput({ columns: 60 }));

    expect(lines.at(-1)).toMatch(/▏$|█$/);
    expect(lines.at(-1)?.length).toBeLessThan(60);
  });

  test("shows lost attempts where there were any", () => {
    const stages: Latency["stages"] = [{ stage: "lost_attempts", seconds: 2 }];

    expect(renderWaterfall({ ...latency, stages }, testOutput())[0]).toContain("lost_attempts");
  });

  test("survives a job of no length", () => {
    const stages: Latency["stages"] = [{ stage: "queue", seconds: 0 }];
    const lines = renderWaterfall({ ...latency, total_seconds: 0, stages }, testOutput());

    expect(lines).toEqual(["  queue  0.0000 s  –"]);
  });

  test("colours only where colours are shown", () => {
    expect(renderWaterfall(latency, testOutput()).join("")).not.toContain("\u001B");
    expect(renderWaterfall(latency, testOutput({ hasColour: true })).join("")).toContain("\u001B");
  });
});
