import type { JobEnd } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { latencyOf } from "./waterfall.ts";

const whole: JobEnd = {
  at: { accepted: 1_000, first_claimed: 1_400, claimed: 2_000, first_token: 2_300, ended: 3_000 },
  attempts: 2,
  outcome: {
    usage: { prompt_tokens: 4, completion_tokens: 7, total_tokens: 11 },
    timings: { dispatch_ms: 10, first_token_ms: 280, engine_queue_ms: 90, decode_ms: 600 },
  },
};

const secondsOf = (end: JobEnd, admitMs = 5): Record<string, number> =>
  Object.fromEntries(
    latencyOf({ id: "job", admitMs, end }).stages.map(({ stage, seconds }) => [stage, seconds]),
  );

describe("latencyOf", () => {
  test("gives every stage its part of the time", () => {
    expect(secondsOf(whole)).toEqual({
      admit: 0.005,
      queue: 0.4,
      lost_attempts: 0.6,
      dispatch: 0.01,
      engine_queue: 0.09,
      prefill: 0.2,
      decode: 0.6,
      finish: 0.1,
    });
  });

  test("sums to the time from arrival to end", () => {
    const latency = latencyOf({ id: "job", admitMs: 5, end: whole });

    expect(latency.total_seconds).toBeCloseTo(2.005, 9);
    expect(latency.ttft_seconds).toBeCloseTo(1.305, 9);
    expect(latency.tpot_seconds).toBeCloseTo(0.1, 9);
  });

  test("counts to the first token that stands, though an earlier attempt made it", () => {
    const end = { ...whole, at: { ...whole.at, first_shown: 1_500 } };
    const latency = latencyOf({ id: "job", admitMs: 5, end });

    expect(latency.ttft_seconds).toBeCloseTo(0.505, 9);
    expect(latency.tpot_seconds).toBeNull();
    expect(latency.total_seconds).toBeCloseTo(2.005, 9);
  });

  test("never lets a worker's clock invent time", () => {
    const timings = { dispatch_ms: 9e9, first_token_ms: 9e9, engine_queue_ms: 9e9, decode_ms: 9e9 };
    const latency = latencyOf({
      id: "job",
      admitMs: 0,
      end: { ...whole, outcome: { ...whole.outcome, timings } },
    });

    expect(latency.total_seconds).toBeCloseTo(2, 9);
    expect(latency.stages.every(({ seconds }) => seconds >= 0)).toBe(true);
  });

  test("puts all of a job that never started into the queue", () => {
    const end: JobEnd = { at: { accepted: 0, ended: 800 }, attempts: 0, outcome: {} };

    expect(secondsOf(end, 0)).toMatchObject({ queue: 0.8, prefill: 0, decode: 0, finish: 0 });
    expect(latencyOf({ id: "job", admitMs: 0, end }).ttft_seconds).toBeNull();
  });

  test("marks the engine's phases as estimated when the engine does not report its queue", () => {
    const timings = { dispatch_ms: 10, first_token_ms: 290, engine_queue_ms: null, decode_ms: 600 };
    const { stages } = latencyOf({
      id: "job",
      admitMs: 0,
      end: { ...whole, outcome: { ...whole.outcome, timings } },
    });

    expect(stages.filter(({ estimated }) => estimated).map(({ stage }) => stage)).toEqual([
      "engine_queue",
      "prefill",
    ]);
  });
});
