// @ts-check
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "vitest";

/** A test with a folder of its own, gone afterwards. */
export const folderTest = test.extend("folder", ({}, { onCleanup }) => {
  const folder = mkdtempSync(join(tmpdir(), "headrace-setup-"));
  onCleanup(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
});

/**
 * Write a program that stands in for one of the machine's, and notes its arguments in `calls`.
 *
 * @param {string} folder that will be on PATH
 * @param {string} name
 * @param {string} [script] of the shell, run after the note
 */
export function writeProgram(folder, name, script = "") {
  const path = join(folder, name);
  writeFiles(folder, {
    [name]: `#!/bin/sh\necho "${name} $*" >> "${join(folder, "calls")}"\n${script}\n`,
  });
  chmodSync(path, 0o755);
}

/**
 * @param {string} folder
 * @returns {string[]} the calls of the stand-ins in it, oldest first
 */
export function readCalls(folder) {
  const path = join(folder, "calls");
  return existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n") : [];
}

/**
 * @param {string} folder
 * @param {Record<string, string>} files content by path
 */
export function writeFiles(folder, files) {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/**
 * @param {string} folder with stand-ins
 * @returns {NodeJS.ProcessEnv} in which they come before the machine's own
 */
export function envWith(folder) {
  return { PATH: `${folder}:/usr/bin:/bin`, HOME: folder };
}
