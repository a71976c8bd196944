import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, test as plainTest } from "vitest";

import { DataDirectory } from "./data-directory.ts";
import { findLocalUrl, RunRecord } from "./run-record.ts";

const test = plainTest.extend("directory", async ({}, { onCleanup }) => {
  const path = mkdtempSync(join(tmpdir(), "headrace-data-"));
  onCleanup(() => rmSync(path, { recursive: true, force: true }));
  const directory = new DataDirectory(join(path, "deep", "down"));
  directory.create();
  return directory;
});

/** Change what the record says, as a supervisor that was killed would have left it. */
const rewrite = (directory: DataDirectory, change: (run: object) => object): void => {
  const run: object = JSON.parse(readFileSync(directory.runPath, "utf8"));
  writeFileSync(directory.runPath, JSON.stringify(change(run)));
};
const deadSupervisor = { supervisor: { pid: 1, startedAt: "never" } };

describe("the API key", () => {
  test("is made once, for this user alone", ({ directory }) => {
    const made = directory.ensureApiKey();
    chmodSync(directory.apiKeyPath, 0o644);

    expect(made.isNew).toBe(true);
    expect(made.key).toMatch(/^hr_[\w-]{32}$/);
    expect(directory.ensureApiKey()).toEqual({ key: made.key, isNew: false });
    expect(statSync(directory.apiKeyPath).mode & 0o777).toBe(0o600);
  });

  test("is made anew where a full disk left an empty file", ({ directory }) => {
    writeFileSync(directory.apiKeyPath, "");

    expect(directory.ensureApiKey().isNew).toBe(true);
  });
});

test("a folder that cannot be is told with a way out", ({ directory }) => {
  writeFileSync(join(directory.path, "file"), "");
  const inFile = new DataDirectory(join(directory.path, "file", "x"));

  expect(() => inFile.create()).toThrow(/part of the path is a file. Name another.*--data-dir/);
});

describe("RunRecord", () => {
  test("keeps a second supervisor out while the first runs", async ({ directory }) => {
    const run = await RunRecord.take(directory);
    run.setUrl("http://127.0.0.1:9");

    await expect(RunRecord.take(directory)).rejects.toThrow(
      `process ${process.pid}, serving at http://127.0.0.1:9`,
    );
    expect(findLocalUrl(directory)).toBe("http://127.0.0.1:9");

    run.release();
    expect(findLocalUrl(directory)).toBeNull();
    const next = await RunRecord.take(directory);
    next.release();
  });

  test("ends what a killed supervisor left running, and takes its place", async ({ directory }) => {
    const left = spawn("sleep", ["60"]);
    await once(left, "spawn");
    const ended = once(left, "exit");
    const killed = await RunRecord.take(directory);
    killed.addChild(left.pid ?? 0);
    rewrite(directory, (run) => ({ ...run, ...deadSupervisor }));

    await RunRecord.take(directory);

    expect(await ended).toEqual([null, "SIGTERM"]);
  });

  test("leaves alone a later process under the id of one it started", async ({ directory }) => {
    const stranger = spawn("sleep", ["60"]);
    await once(stranger, "spawn");
    await RunRecord.take(directory);
    const children = [{ pid: stranger.pid, startedAt: "earlier" }];
    rewrite(directory, (run) => ({ ...run, ...deadSupervisor, children }));

    await RunRecord.take(directory);

    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    stranger.kill();
  });

  test("takes the place of a record that makes no sense", async ({ directory }) => {
    writeFileSync(directory.runPath, "{");

    await expect(RunRecord.take(directory)).resolves.toBeInstanceOf(RunRecord);
  });
});
