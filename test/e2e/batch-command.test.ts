import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

import { describe, expect, test as base } from "vitest";
import { z } from "zod";

import { API_KEY, Platform } from "../platform.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** The first test also starts the platform. */
const TIMEOUT_MS = 60_000;
const execute = promisify(execFile);

const labelSchema = z.object({
  custom_id: z.string(),
  text: z.string(),
  finish_reason: z.string(),
});
const vectorSchema = z.object({ custom_id: z.string(), embedding: z.array(z.number()).min(1) });

/** A platform that runs batches, and a folder from which commands are given as in the repository's. */
const test = base
  .extend("folder", { scope: "file" }, async ({}, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-e2e-"));
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    await symlink(join(ROOT, "examples"), join(folder, "examples"));
    // As the launcher does, without asking whether `npm start` was here.
    const launcher = `#!/bin/sh\nexec "${process.execPath}" "${ROOT}packages/cli/src/main.ts" "$@"\n`;
    await writeFile(join(folder, "headrace"), launcher, { mode: 0o755 });
    return folder;
  })
  .extend("platform", { scope: "file" }, async ({ folder }, { onCleanup }) => {
    const storage = { STORAGE_URL: pathToFileURL(join(folder, "objects")).href };
    const platform = await Platform.start({ ingress: storage });
    onCleanup(() => platform.stop());
    await platform.startBatcher(storage);
    return platform;
  })
  .extend("shell", ({ folder, platform }) => async (line: string) => {
    const settings = `HEADRACE_URL=${platform.url} HEADRACE_API_KEY=${API_KEY}`;
    return execute("sh", ["-ec", `export ${settings}\n${line}`], { cwd: folder });
  });

/** What a README has one type, block by block. */
async function commandsOf(example: string): Promise<string[]> {
  const text = await readFile(join(ROOT, "examples", example, "README.md"), "utf8");
  return [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = ""]) => block);
}

async function readLines(path: string): Promise<unknown[]> {
  const text = await readFile(path, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
}

describe("the examples", { timeout: TIMEOUT_MS }, () => {
  test("classify a table, a label for each row", async ({ shell, folder }) => {
    const [run = "", estimate = ""] = await commandsOf("classify");
    await shell(run);
    const labels = (await readLines(join(folder, "labels.jsonl"))).map((line) =>
      labelSchema.parse(line),
    );
    const { stdout } = await shell(estimate);

    expect(labels.map(({ custom_id }) => custom_id)).toEqual(
      Array.from({ length: 12 }, (_row, at) => `r${String(at + 1).padStart(2, "0")}`),
    );
    expect(stdout).toMatch(/requests {2}12, /);
    expect(stdout).toMatch(/at most 48 out/);
    expect(stdout).toMatch(/time {6}at most \d/);
    expect(stdout).toMatch(/cost {6}at most \d/);
  });

  test("embed a corpus, a vector for each text", async ({ shell, folder }) => {
    const [run = ""] = await commandsOf("embed");
    await shell(run);
    const vectors = (await readLines(join(folder, "vectors.jsonl"))).map((line) =>
      vectorSchema.parse(line),
    );

    expect(vectors).toHaveLength(12);
    expect(vectors[0]?.custom_id).toBe("water-01");
    expect(vectors[11]?.custom_id).toBe("water-12");
  });
});

describe("headrace batch", { timeout: TIMEOUT_MS }, () => {
  test("shows, lists and prints what was run", async ({ shell }) => {
    await shell(
      `printf '{"prompt":"hi","max_tokens":4}\\n' | ./headrace batch run - -o hi.jsonl --metadata run=7`,
    );
    const list = await shell("./headrace batch list --limit 1");
    const id = /batch_\w{26}/.exec(list.stdout)?.[0] ?? "";
    const status = await shell(`./headrace batch status ${id}`);
    const results = await shell(`./headrace batch results ${id} --text`);
    const cancelled = await shell(`./headrace batch cancel ${id} 2>&1 || echo "exit $?"`);

    expect(list.stdout).toMatch(/completed {2}1\/1/);
    expect(status.stdout).toMatch(/status {6}completed/);
    expect(status.stdout).toMatch(/run {9}7/);
    expect(labelSchema.parse(JSON.parse(results.stdout)).custom_id).toBe("line-1");
    expect(cancelled.stdout).toContain("exit 1");
  });
});
