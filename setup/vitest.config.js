// @ts-check
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { findPackageFolders } from "./workspace.js";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Two processes fill a small machine: most tests have a Redis of their own beside them. */
const MAX_WORKERS = 2;

/**
 * A test's bound, ms, where it names none: time for the processes it starts on a machine that has
 * other work, since the first test of a file waits for what all of them share.
 */
const TIMEOUT_MS = 15_000;
const PLATFORM_TIMEOUT_MS = 30_000;

/**
 * Describe a folder's tests, with the folder's own configuration under it where it has one.
 *
 * @param {string} folder relative to the root
 * @returns {import("vitest/config").TestProjectInlineConfiguration}
 */
function describeProject(folder) {
  const own = existsSync(join(root, folder))
    ? readdirSync(join(root, folder)).find((name) => /^vite(st)?\.config\.[cm]?[jt]s$/.test(name))
    : undefined;
  // Those of `test` start whole platforms. A project of one worker runs alone, after all the others.
  const [maxWorkers, testTimeout] =
    folder === "test" ? [1, PLATFORM_TIMEOUT_MS] : [MAX_WORKERS, TIMEOUT_MS];
  return {
    ...(own === undefined ? {} : { extends: join(root, folder, own) }),
    root: join(root, folder),
    test: { name: basename(folder), maxWorkers, testTimeout, hookTimeout: testTimeout },
  };
}

/** One run, and so one count, of the tests of every package and of the set-up. */
// oxlint-disable-next-line import/no-default-export -- the test runner asks for it
export default defineConfig({
  test: { projects: [...findPackageFolders(root), "setup"].map(describeProject) },
});
