import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { DataDirectory } from "./data-directory.ts";
import { renderCurl, renderServing, type Serving } from "./serving-screen.ts";
import { testOutput } from "./test-output.ts";

const serving: Serving = {
  url: "http://127.0.0.1:8080",
  model: "it's/a-model:7b",
  directory: new DataDirectory("/data"),
  newKey: null,
  hasOwnKey: false,
  command: "headrace",
  flags: "",
};

/** Run a line in a shell in which curl prints its arguments. */
const argumentsOf = (lines: readonly string[], variables = ""): string[] =>
  execFileSync("sh", ["-c", `${variables}curl() { printf '%s\\0' "$@"; }\n${lines.join("\n")}`], {
    encoding: "utf8",
  })
    .split("\0")
    .slice(0, -1);

describe("the call to paste", () => {
  test("reaches curl with the key from its file, whatever the folder's name", () => {
    const folder = mkdtempSync(join(tmpdir(), "headrace it's "));
    try {
      const directory = new DataDirectory(folder);
      const { key } = directory.ensureApiKey();
      const sent = argumentsOf(renderCurl({ ...serving, directory }));

      expect(sent).toContain(`Authorization: Bearer ${key}`);
      expect(sent).toContain("http://127.0.0.1:8080/v1/chat/completions");
      expect(JSON.parse(sent.at(-1) ?? "")).toMatchObject({ model: "it's/a-model:7b" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("takes the user's own key from where the user keeps it", () => {
    const lines = renderCurl({ ...serving, hasOwnKey: true });

    expect(argumentsOf(lines, "HEADRACE_API_KEY=mine\n")).toContain("Authorization: Bearer mine");
  });
});

describe("renderServing", () => {
  test("shows a key only when it was just made", () => {
    const made = renderServing({ ...serving, newKey: "hr_secret" }, testOutput()).join("\n");
    const known = renderServing(serving, testOutput()).join("\n");

    expect(made).toContain("hr_secret");
    expect(known).toContain("in /data/api-key");
  });

  test("fits a terminal of 80 columns", () => {
    const lines = renderServing({ ...serving, model: "headrace-sim-8b" }, testOutput());

    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});
