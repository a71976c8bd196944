import { EngineError, type EngineTraits } from "@headrace/engine";
import { describe, expect, test } from "vitest";

import { EngineHealth } from "./engine-health.ts";

const traits: EngineTraits = {
  kind: "vllm",
  version: "0.19.0",
  models: [],
  hasMetrics: true,
  hasTokenIds: true,
};

describe("an engine's health", () => {
  test("tells since when it has been silent, and what came instead", () => {
    let nowMs = 1_000;
    const health = new EngineHealth(traits, () => nowMs);
    const before = health.state;
    nowMs = 4_000;
    health.failed(new Error("connect ECONNREFUSED"));
    const during = health.state;
    health.answered();
    const after = health.state;

    expect(before).toEqual({ kind: "vllm", version: "0.19.0", silentMs: 0, error: null });
    expect(during).toMatchObject({ silentMs: 3_000, error: "connect ECONNREFUSED" });
    expect(after).toEqual(before);
  });

  test("never repeats an engine's own words", () => {
    const health = new EngineHealth(traits);
    health.failed(new EngineError("engine_failed", "CANARY", { logMessage: "it answered 500" }));

    expect(health.state.error).toBe("it answered 500");
  });
});
