import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { expectedText, tokenize } from "@headrace/engine-sim/language";
import { describe, expect } from "vitest";
import { z } from "zod";

import { API_KEY } from "../platform.ts";
import { platformTest as test } from "./platform-test.ts";

const run = promisify(execFile);
const guide = readFileSync(new URL("../../docs/migrating.md", import.meta.url), "utf8");
const here = fileURLToPath(new URL(".", import.meta.url));
const hasCurl = spawnSync("curl", ["--version"]).status === 0;

/** The guide's blocks in a language, in their order. */
function blocksOf(language: string): string[] {
  const blocks = guide.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"));
  return [...blocks].map(([, text = ""]) => text);
}

const environmentOf = (url: string): Record<string, string> => ({
  PATH: `${process.execPath.replace(/\/[^/]*$/, "")}:/usr/local/bin:/usr/bin:/bin`,
  HEADRACE_URL: url,
  HEADRACE_API_KEY: API_KEY,
});

describe("the guide for those who come from a plain server", () => {
  test.skipIf(!hasCurl).for(blocksOf("sh"))(
    "has commands that work: %s",
    async (script, { platform }) => {
      const env = environmentOf(platform.url);
      const { stdout } = await run("sh", ["-eu", "-c", script], { env });

      expect(stdout).not.toBe("");
      expect(stdout).not.toContain('"error":{');
    },
  );

  test.for(blocksOf("js"))("has a program that works", async (program, { platform }) => {
    // Beside this file, where the package that it imports is found.
    const path = `${here}migrating-${process.pid}.mjs`;
    await writeFile(path, program);
    const env = environmentOf(platform.url);
    const { stdout } = await run(process.execPath, [path], { env }).finally(() => rm(path));

    expect(stdout.trim()).not.toBe("");
  });

  test("shows every field that /generate answers, and the real text comes", async ({
    platform,
  }) => {
    const body = JSON.stringify({ prompt: "The canal", max_tokens: 20 });
    const response = await platform.call("/generate", { method: "POST", body });
    const answer = z.record(z.string(), z.unknown()).parse(await response.json());
    const { text, ids } = expectedText({ promptIds: tokenize("The canal"), maxTokens: 20 });

    expect(answer).toMatchObject({ text, completion_tokens: ids.length, finish_reason: "length" });
    for (const field of Object.keys(answer)) expect(guide).toContain(`"${field}"`);
  });

  test("is not left without commands", () => {
    expect(blocksOf("sh")).toHaveLength(4);
    expect(blocksOf("js")).toHaveLength(1);
  });
});
