import type { Timeline } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { testOutput } from "./test-output.ts";
import { renderTimeline } from "./timeline-view.ts";

const createdAt = 1_764_000_000;
const worker = "w-gpu-7-1234-0a1b2c3d";

const failed: Timeline = {
  job: "job_abcd_1",
  object: "timeline",
  status: "failed",
  created_at: createdAt,
  ended_at: createdAt + 42.5,
  error: { message: "the engine is gone", type: "t", param: null, code: "engine_unavailable" },
  attempts: [
    attempt(1, { from: 0.021, to: 20.021, end: "worker_lost" }),
    attempt(2, { from: 20.03, to: 21, end: "engine_error", code: "engine_timeout" }),
    attempt(3, { from: 22, to: 42.5, end: "failed", code: "engine_unavailable" }),
  ],
  forgotten_attempts: 0,
  latency: null,
};

function attempt(
  epoch: number,
  it: { from: number; to?: number; end?: string; code?: string },
): Timeline["attempts"][number] {
  return {
    epoch,
    worker,
    from: 0,
    reset: false,
    started_at: createdAt + it.from,
    ended_at: it.to === undefined ? null : createdAt + it.to,
    end: it.end ?? null,
    error_code: it.code ?? null,
  };
}

describe("renderTimeline", () => {
  test("tells each attempt, who made it and why it ended", () => {
    const [head, ...lines] = renderTimeline(failed, testOutput());

    expect(head).toMatch(/^ {2}failed job_abcd_1 · created 2025-11-2\d \d\d:\d\d:\d\d$/);
    expect(lines).toEqual([
      "  the engine is gone (engine_unavailable)",
      "",
      "  +0.0 ms  accepted",
      `   +21 ms  attempt 1 by ${worker}: given up, its worker was lost after 20.0 s`,
      `  +20.0 s  attempt 2 by ${worker}: the engine failed (engine_timeout) after 970 ms`,
      `  +22.0 s  attempt 3 by ${worker}: failed (engine_unavailable) after 20.5 s`,
      "  +42.5 s  failed",
    ]);
  });

  test("tells which attempt went on from another's output, and which started over", () => {
    const [first, second, third] = [
      attempt(1, { from: 0, to: 1, end: "handed_back" }),
      { ...attempt(2, { from: 1, to: 2, end: "cannot_continue" }), from: 12 },
      { ...attempt(3, { from: 2, to: 3, end: "completed" }), reset: true },
    ];
    const timeline: Timeline = { ...failed, attempts: [first, second, third] };

    expect(renderTimeline(timeline, testOutput()).slice(4, 7)).toEqual([
      `  +0.0 ms  attempt 1 by ${worker}: handed back after 1.00 s`,
      `  +1.00 s  attempt 2 by ${worker}, goes on after 12 pieces of output: handed back, cannot go on exactly after 1.00 s`,
      `  +2.00 s  attempt 3 by ${worker}, starts over: completed after 1.00 s`,
    ]);
  });

  test("says that a job waits or runs, and how much of it nobody remembers", () => {
    const open: Timeline = { ...failed, status: "in_progress", ended_at: null, error: null };
    const running = { ...open, attempts: [attempt(1_009, { from: 60 })], forgotten_attempts: 8 };
    const queued: Timeline = { ...open, status: "queued", attempts: [] };

    expect(renderTimeline(running, testOutput()).slice(2)).toEqual([
      "  +0.0 ms  accepted",
      "           … 8 attempts of which nothing is kept",
      `  +60.0 s  attempt 9 by ${worker}`,
      "           runs …",
    ]);
    expect(renderTimeline(queued, testOutput()).slice(2)).toEqual([
      "  +0.0 ms  accepted",
      "           waits …",
    ]);
  });
});
