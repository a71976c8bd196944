import { describe, expect, test } from "vitest";

import { formatDuration } from "./duration.ts";
import { renderSummary, type EndedJob } from "./summary.ts";
import { testOutput } from "./test-output.ts";

const job: EndedJob = {
  id: "job_abcd_1",
  status: "completed",
  usage: { prompt_tokens: 12, completion_tokens: 64, total_tokens: 76 },
  latency: {
    job: "job_abcd_1",
    total_seconds: 0.42,
    ttft_seconds: 0.021,
    tpot_seconds: 0.005,
    stages: [],
    attempts: 2,
  },
  error: null,
};

describe("renderSummary", () => {
  test("tells what came of the job and what it cost", () => {
    expect(renderSummary(job, testOutput())).toEqual([
      "  completed job_abcd_1 · 2 attempts",
      "  12 tokens in · 64 out · first token 21 ms · 200 tok/s · 420 ms in all",
      "",
    ]);
  });

  test("tells why it failed, and leaves out what there was none of", () => {
    const error = { message: "too late", type: "t", param: null, code: "deadline_exceeded" };
    const latency = { ...job.latency, ttft_seconds: null, tpot_seconds: null, attempts: 0 };
    const lines = renderSummary(
      { ...job, status: "expired", usage: null, latency, error },
      testOutput(),
    );

    expect(lines).toEqual([
      "  expired job_abcd_1",
      "  too late (deadline_exceeded)",
      "  420 ms in all",
      "",
    ]);
  });
});

test.for([
  [0.0004, "0.4 ms"],
  [0.021, "21 ms"],
  [4.213, "4.21 s"],
  [42.13, "42.1 s"],
  [200, "3 min 20 s"],
  [7_500, "2 h 5 min"],
] as const)("writes %d s as %s", ([seconds, text]) => {
  expect(formatDuration(seconds)).toBe(text);
});
