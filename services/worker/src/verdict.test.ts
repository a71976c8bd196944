import type { Attempt } from "@headrace/broker";
import { jobIdSchema } from "@headrace/contract";
import { EngineError } from "@headrace/engine";
import { describe, expect, test } from "vitest";

import { CannotContinue } from "./seam.ts";
import { AttemptLost, Draining, judge } from "./verdict.ts";

const attempt: Attempt = {
  job: jobIdSchema.parse("job_abcdef_00000000000000000000000000"),
  token: "w-test:1",
  epoch: 1,
  attempts: 1,
  isFragile: false,
  from: 0,
  isSuspect: false,
  isUnread: false,
  spec: {
    tenant: "default",
    endpoint: "/v1/chat/completions",
    priority: "standard",
    on_retry: "continue",
    metadata: {},
    admit_ms: 0,
    request: { model: "m" },
  },
};
const fragile = { ...attempt, isFragile: true };
const silent = { hasShown: false, canContinue: false, maxAttempts: 3 };
const shown = { hasShown: true, canContinue: false, maxAttempts: 3 };
const continuable = { hasShown: true, canContinue: true, maxAttempts: 3 };
const cut = new EngineError("engine_unavailable", "cut after 3 chunks");

describe("judge", () => {
  test("hands a job back when the engine is full, and leaves the engine alone", () => {
    const full = new EngineError("engine_full", "no room");

    expect(judge(full, attempt, silent)).toEqual({ kind: "hand_back", isEngineFull: true });
  });

  test("hands a job back when the engine was never reached", () => {
    const refused = new EngineError("engine_unavailable", "refused", { wasSent: false });

    expect(judge(refused, attempt, silent)).toEqual({ kind: "hand_back", isEngineFull: true });
  });

  test("hands a job back when the worker leaves", () => {
    expect(judge(new Draining(), attempt, shown)).toEqual({
      kind: "hand_back",
      isEngineFull: false,
    });
  });

  test("retries what the engine broke off, later each time", () => {
    expect(judge(cut, attempt, shown)).toEqual({ kind: "retry", failure: cut.code, pauseMs: 200 });
    expect(judge(cut, { ...attempt, attempts: 2 }, shown)).toEqual({
      kind: "retry",
      failure: cut.code,
      pauseMs: 800,
    });
  });

  test("fails a job whose attempts are spent", () => {
    expect(judge(cut, { ...attempt, attempts: 3 }, silent)).toMatchObject({
      kind: "fail",
      error: { code: "engine_unavailable" },
    });
  });

  test("fails at once what no attempt can mend", () => {
    const rejected = new EngineError("engine_rejected", "too long", { param: "max_tokens" });

    expect(judge(rejected, attempt, silent)).toMatchObject({
      kind: "fail",
      error: { code: "engine_rejected", message: "too long", param: "max_tokens" },
    });
  });

  test.each([cut, new Draining()])(
    "never restarts a fragile job that has shown output (%s)",
    (error) => {
      expect(judge(error, fragile, shown)).toMatchObject({ kind: "fail" });
      expect(judge(error, fragile, silent)).not.toMatchObject({ kind: "fail" });
    },
  );

  test("lets a fragile job go on where that is exact", () => {
    expect(judge(new Draining(), fragile, continuable)).toMatchObject({ kind: "hand_back" });
    expect(judge(cut, fragile, continuable)).toMatchObject({ kind: "retry" });
  });

  test("starts over what cannot be gone on with", () => {
    const refused = new CannotContinue("it was still reasoning");

    expect(judge(refused, { ...attempt, from: 3 }, shown)).toEqual({ kind: "restart" });
    expect(judge(refused, { ...fragile, from: 3 }, shown)).toEqual({ kind: "restart" });
  });

  test("leaves a lost job to whoever has it", () => {
    expect(judge(new AttemptLost("fenced"), attempt, shown)).toEqual({
      kind: "lost",
      reason: "fenced",
    });
  });

  test("says nothing of a fault of our own to the job's owner", () => {
    expect(judge(new TypeError("secret"), attempt, silent)).toMatchObject({
      kind: "fail",
      error: { code: "internal", message: "the worker met a fault of its own" },
    });
  });
});
