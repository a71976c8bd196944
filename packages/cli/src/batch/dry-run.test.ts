import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect } from "vitest";

import { run } from "../program.ts";
import { testTerminal } from "../test-output.ts";
import { batchTest } from "./test-command.ts";

const MODEL = { input_tokens: 600, output_tokens: 400, gpu_seconds: 10, cost: 0.5, jobs: 5 };

const test = batchTest
  .extend("prompts", ({ folder }) => {
    const path = join(folder, "prompts.jsonl");
    writeFileSync(path, `{"prompt":"${"x".repeat(40)}","max_tokens":6}\n`.repeat(100));
    return path;
  })
  .extend("estimate", ({ prompts }) => async (...args: string[]): Promise<unknown> => {
    const terminal = testTerminal();
    const code = await run(["batch", "run", prompts, "--dry-run", "--json", ...args], terminal);
    expect(code).toBe(0);
    return JSON.parse(terminal.out.text);
  });

describe("a dry run", () => {
  test("reckons with what it is given, where there is no Headrace", async ({
    estimate,
    folder,
  }) => {
    const nowhere = ["--data-dir", join(folder, "none"), "--url", "http://127.0.0.1:1"];
    const given = ["--tokens-per-second", "100", "--gpu-hour-price", "36"];

    expect(await estimate(...nowhere, ...given)).toEqual({
      object: "batch.estimate",
      endpoint: "/v1/chat/completions",
      model: null,
      requests: 100,
      bytes: expect.any(Number),
      // 10 of the prompt and 4 of its message; 6 of the answer.
      prompt_tokens: 1_400,
      most_output_tokens: 600,
      tokens_per_second: 100,
      most_seconds: 20,
      most_cost: 0.2,
      currency: null,
    });
    expect(await estimate(...nowhere)).toMatchObject({ most_seconds: null, most_cost: null });
  });

  test("asks a Headrace for its pace and price, and sends nothing", async ({
    estimate,
    where,
    api,
  }) => {
    api.intrude = ({ url }, response) => {
      if (url?.startsWith("/v1/usage") !== true) return false;
      const row = { day: null, key: null, model: "m", ...MODEL };
      const span = { tenant: "t", from: "2026-11-01", to: "2026-11-25", currency: "EUR" };
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ object: "usage", ...span, data: [row], total: MODEL }));
      return true;
    };

    expect(await estimate(...where)).toMatchObject({
      model: "m",
      tokens_per_second: 100,
      most_seconds: 20,
      most_cost: 1,
      currency: "EUR",
    });
    expect(api.calls.every((call) => call.startsWith("GET "))).toBe(true);
  });
});
