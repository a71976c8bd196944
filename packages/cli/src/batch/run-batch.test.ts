import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect } from "vitest";
import { z } from "zod";

import { run } from "../program.ts";
import { testTerminal } from "../test-output.ts";
import { answerOf } from "./test-api.ts";
import { batchTest } from "./test-command.ts";

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const test = batchTest
  .extend("prompts", ({ folder }) => {
    const path = join(folder, "prompts.jsonl");
    writeFileSync(
      path,
      [1, 2, 3, 4, 5].map((n) => `{"prompt":"p${n}","custom_id":"c${n}"}\n`).join(""),
    );
    return path;
  })
  .extend("answers", ({ folder }) => join(folder, "answers.jsonl"))
  .extend("batch", ({ where }) => async (...args: string[]): Promise<Ran> => {
    const terminal = testTerminal();
    const code = await run(["batch", ...args, ...where], terminal);
    return { code, out: terminal.out.text, err: terminal.err.text };
  });

/** What stands in a folder beside what the test put there. */
function leftIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => ![".data", "prompts.jsonl"].includes(name))
    .toSorted();
}

const all = ["c1", "c2", "c3", "c4", "c5"].map((id) => `${answerOf(id)}\n`);

describe("batch run", () => {
  test("writes the answers in the requests' order", async ({
    batch,
    prompts,
    answers,
    api,
    folder,
  }) => {
    const { code, err } = await batch("run", prompts, "-o", answers);

    expect(readFileSync(answers, "utf8")).toBe(all.join(""));
    expect(code).toBe(0);
    expect(err).toMatch(/batch_\w+ runs 5 requests\n/);
    expect(err).toMatch(/batch_\w+: 40 % · 2\/5 · 10 tokens\/s · 7 s left · engines full\n/);
    expect(err).toContain(`5 answers in ${answers}\n`);
    expect(leftIn(folder)).toEqual(["answers.jsonl", "answers.jsonl.headrace.json"]);
    expect([...api.uploads.values()][0]?.text.split("\n")[0]).toBe(
      '{"custom_id":"c1","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"p1"}],"model":"m"}}',
    );
  });

  test("writes apart what was not answered, and exits 1", async ({
    batch,
    prompts,
    answers,
    api,
  }) => {
    api.failing = ["c4", "c2"];
    const { code, err } = await batch("run", prompts, "-o", answers, "--text");

    expect(code).toBe(1);
    expect(readFileSync(answers, "utf8")).toBe(
      ["c1", "c3", "c5"]
        .map((id) => `{"custom_id":"${id}","text":"answer to ${id}","finish_reason":"stop"}\n`)
        .join(""),
    );
    const errors = readFileSync(answers.replace(".jsonl", ".errors.jsonl"), "utf8");
    expect(errors.match(/"custom_id":"c\d"/g)).toEqual(['"custom_id":"c2"', '"custom_id":"c4"']);
    expect(err).toContain("3 answers in");
    expect(err).toContain("2 without one in");
  });

  test("tells machines each state as JSON, and people nothing", async ({
    batch,
    prompts,
    answers,
  }) => {
    const { out, err } = await batch("run", prompts, "-o", answers, "--json");
    const events = out
      .trim()
      .split("\n")
      .map((line) => z.looseObject({ event: z.string() }).parse(JSON.parse(line)));

    expect(events.map(({ event }) => event)).toEqual(["progress", "progress", "done"]);
    expect(events.at(-1)).toMatchObject({ answers, errors: null, batch: { status: "completed" } });
    expect(err).toBe("");
  });

  test("done once is not done again, unless told to", async ({ batch, prompts, answers, api }) => {
    api.failing = ["c5"];
    await batch("run", prompts, "-o", answers);
    const again = await batch("run", prompts, "-o", answers);
    const calls = api.calls.length;
    const anew = await batch("run", prompts, "-o", answers, "--overwrite");

    expect(again.code).toBe(1);
    expect(again.err).toContain("has the 4 answers of batch_");
    expect(api.calls.slice(0, calls).filter((call) => call === "POST /v1/batches")).toHaveLength(1);
    expect(anew.code).toBe(1);
    expect(api.batches.size).toBe(2);
  });

  test("refuses another input, or other flags, for the same answers", async ({
    batch,
    prompts,
    answers,
    api,
  }) => {
    await batch("run", prompts, "-o", answers);
    const window = await batch("run", prompts, "-o", answers, "--completion-window", "1h");
    writeFileSync(prompts, '{"prompt":"other"}\n');
    const other = await batch("run", prompts, "-o", answers);

    expect([window.code, other.code]).toEqual([2, 2]);
    expect(other.err).toMatch(/belongs to a run of another input, or with other flags: batch_/);
    expect(other.err).toContain("--overwrite");
    expect(readFileSync(answers, "utf8")).toBe(all.join(""));
    expect(api.batches.size).toBe(1);
  });

  test("writes over no file that is not its own", async ({ batch, prompts, answers, api }) => {
    writeFileSync(answers, "precious");
    const { code, err } = await batch("run", prompts, "-o", answers);

    expect(code).toBe(2);
    expect(err).toContain("is there already, and not of a run");
    expect(readFileSync(answers, "utf8")).toBe("precious");
    expect(api.calls).toEqual([]);
  });

  test("says where it cannot write", async ({ batch, prompts, answers, folder }) => {
    const nowhere = await batch("run", prompts, "-o", join(prompts, "answers.jsonl"));
    mkdirSync(`${answers}.headrace.json.new`);
    const full = await batch("run", prompts, "-o", answers);

    expect([nowhere.code, full.code]).toEqual([2, 1]);
    expect(nowhere.err).toMatch(/there is no folder \S+prompts.jsonl to write to/);
    expect(full.err).toMatch(/EISDIR[^]*give the same command again/);
    expect(leftIn(folder)).toEqual(["answers.jsonl.headrace.json.new"]);
  });

  test("uploads nothing of an input with a fault", async ({
    batch,
    prompts,
    answers,
    api,
    folder,
  }) => {
    writeFileSync(prompts, '{"prompt":"a"}\n{"prompt":7}\n');
    const { code, err } = await batch("run", prompts, "-o", answers);

    expect(code).toBe(2);
    expect(err).toMatch(/line 2: body\.messages/);
    expect(api.calls).toEqual(["GET /v1/models"]);
    expect(leftIn(folder)).toEqual([]);
  });

  test("says why the server did not run it, and begins anew next time", async ({
    batch,
    prompts,
    answers,
    api,
    folder,
  }) => {
    api.end = "failed";
    const { code, err } = await batch("run", prompts, "-o", answers);
    const left = leftIn(folder);
    api.end = "completed";
    const again = await batch("run", prompts, "-o", answers);

    expect(code).toBe(1);
    expect(err).toMatch(/was not run:\n {2}request 2: no such model/);
    expect(left).toEqual([]);
    expect(again.code).toBe(0);
  });

  test("writes what an expired batch has, and exits 1", async ({
    batch,
    prompts,
    answers,
    api,
  }) => {
    api.end = "expired";
    api.failing = ["c3"];
    const { code, err } = await batch("run", prompts, "-o", answers);

    expect(code).toBe(1);
    expect(err).toContain("ended as expired: its window was over");
    expect(readFileSync(answers, "utf8").trim().split("\n")).toHaveLength(4);
  });
});

describe("batch run, cut off", () => {
  test("uploads again after an upload that was not taken, and makes one batch", async ({
    batch,
    prompts,
    answers,
    api,
  }) => {
    let refusals = 2;
    api.intrude = ({ method, url }, response) => {
      if (method !== "POST" || url !== "/v1/files" || refusals === 0) return false;
      refusals -= 1;
      response.destroy();
      return true;
    };
    const { code } = await batch("run", prompts, "-o", answers);

    expect(code).toBe(0);
    expect(refusals).toBe(0);
    expect(api.batches.size).toBe(1);
  });

  test("goes on with the batch when the answer to its making was lost", async ({
    batch,
    prompts,
    answers,
    api,
  }) => {
    let isLost = false;
    api.intrude = ({ method, url }, response) => {
      if (method !== "POST" || url !== "/v1/batches" || isLost) return false;
      isLost = true;
      // Made, but nobody hears of it.
      response.end = () => response.destroy();
      return false;
    };
    const { code } = await batch("run", prompts, "-o", answers);

    expect(code).toBe(0);
    expect(api.calls.filter((call) => call === "POST /v1/batches")).toHaveLength(2);
    expect(api.batches.size).toBe(1);
  });

  test("fetches the rest of answers that broke off", async ({ batch, prompts, answers, api }) => {
    const ranges: unknown[] = [];
    api.intrude = ({ url, headers }, response) => {
      if (url?.endsWith("/content") !== true) return false;
      ranges.push(headers.range);
      if (ranges.length > 1) return false;
      response.writeHead(200, { "content-length": "1000000" });
      response.write(`${answerOf("c5")}\n`, () => response.destroy());
      return true;
    };
    const { code } = await batch("run", prompts, "-o", answers);

    expect(code).toBe(0);
    expect(ranges).toEqual([undefined, `bytes=${answerOf("c5").length + 1}-`]);
    expect(readFileSync(answers, "utf8")).toBe(all.join(""));
  });
});
