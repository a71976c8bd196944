import type { ServerResponse } from "node:http";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect } from "vitest";

import { answerOf, type TestApi } from "./test-api.ts";
import { batchTest } from "./test-command.ts";

/** Processes start slowly on a machine that does much else. */
const TEST_MS = 60_000;
const IDS = ["line-1", "line-2", "line-3"];

const test = batchTest
  .extend("prompts", ({ folder }) => {
    const path = join(folder, "prompts.csv");
    writeFileSync(path, "text\na\nb\nc\n");
    return path;
  })
  .extend("answers", ({ folder }) => join(folder, "answers.jsonl"));

/** Hold the first call of a kind: nobody answers it. @returns when it has come */
function hold(api: TestApi, method: string, path: RegExp): Promise<ServerResponse> {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  let isHeld = false;
  api.intrude = (request, response) => {
    if (isHeld || request.method !== method || !path.test(request.url ?? "")) return false;
    isHeld = true;
    request.resume();
    resolve(response);
    return true;
  };
  return promise;
}

/** Do what the first call of a kind asks, and never answer it. @returns when it is done */
function swallow(api: TestApi, method: string, path: RegExp): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isSwallowed = false;
  api.intrude = (request, response) => {
    if (isSwallowed || request.method !== method || !path.test(request.url ?? "")) return false;
    isSwallowed = true;
    response.end = () => {
      resolve();
      return response;
    };
    return false;
  };
  return promise;
}

describe("a run that is killed", { timeout: TEST_MS }, () => {
  test.for([
    ["uploads", "POST", /\/files$/],
    ["makes the batch", "POST", /\/batches$/],
    ["watches", "GET", /\/batches\/batch_\w+$/],
    ["fetches answers", "GET", /\/content$/],
  ] as const)(
    "while it %s is gone on with by the same command",
    async ([, method, path], { start, prompts, answers, api, folder }) => {
      const held = hold(api, method, path);
      const first = start("run", prompts, "-o", answers);
      await held;
      first.signal("SIGKILL");
      await first.code();
      const code = await start("run", prompts, "-o", answers).code();

      expect(code).toBe(0);
      expect(api.batches.size).toBe(1);
      expect(readFileSync(answers, "utf8")).toBe(IDS.map((id) => `${answerOf(id)}\n`).join(""));
      expect(readdirSync(folder).toSorted()).toEqual([
        ".data",
        "answers.jsonl",
        "answers.jsonl.headrace.json",
        "prompts.csv",
      ]);
    },
  );
});

describe("a run that is killed before it hears of its batch", { timeout: TEST_MS }, () => {
  test("finds that batch again, and makes no second", async ({ start, prompts, answers, api }) => {
    const made = swallow(api, "POST", /\/batches$/);
    const first = start("run", prompts, "-o", answers);
    await made;
    first.signal("SIGKILL");
    await first.code();
    const code = await start("run", prompts, "-o", answers).code();

    expect(code).toBe(0);
    expect(api.batches.size).toBe(1);
    expect(api.uploads.size).toBe(1);
  });
});

describe("Ctrl-C", { timeout: TEST_MS }, () => {
  test("leaves the batch running, and says how to go on or end it", async ({
    start,
    prompts,
    answers,
    api,
  }) => {
    const held = hold(api, "GET", /\/batches\/batch_\w+$/);
    const command = start("run", prompts, "-o", answers);
    await held;
    command.signal("SIGINT");
    const code = await command.code();
    const [id] = [...api.batches.keys()];

    expect(code).toBe(130);
    expect(command.err).toContain(`${id} goes on.`);
    expect(command.err).toMatch(new RegExp(`batch cancel --url \\S+ --data-dir \\S+ ${id}`));
    expect(api.calls.filter((call) => call.endsWith("/cancel"))).toEqual([]);
    expect(await start("run", prompts, "-o", answers).code()).toBe(0);
  });

  test("ends a run that waits for its input", async ({ start, answers, api, folder }) => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    api.intrude = (_request, response) => {
      response.once("finish", resolve);
      return false;
    };
    const command = start("run", "-", "-o", answers);
    command.type('{"prompt":"a"}\n');
    await asked;
    command.signal("SIGINT");

    expect(await command.code()).toBe(130);
    expect(command.err).toContain("Stopped; no batch was made.");
    expect(readdirSync(folder)).not.toContainEqual(expect.stringMatching(/^answers/));
  });

  test("before that leaves nothing", async ({ start, prompts, answers, api, folder }) => {
    const held = hold(api, "POST", /\/files$/);
    const command = start("run", prompts, "-o", answers);
    await held;
    command.signal("SIGINT");

    expect(await command.code()).toBe(130);
    expect(command.err).toContain("Stopped; no batch was made.");
    expect(readdirSync(folder)).not.toContainEqual(expect.stringMatching(/upload|new|part/));
  });
});
