// @ts-check
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { setUp } from "./set-up.js";
import { envWith, folderTest as base, readCalls, writeFiles, writeProgram } from "./stand-ins.js";

const folderTest = base.extend("root", ({ folder }) => {
  const root = join(folder, "checkout");
  writeFiles(root, {
    "package.json": "{}",
    "pnpm-lock.yaml": "",
    "pnpm-workspace.yaml": "packages:\n  - packages/*\n",
    "packages/a/package.json": '{"dependencies":{"b":"1"}}',
  });
  writeProgram(
    folder,
    "pnpm",
    `case "$*" in
      --version) echo 12.0.0 ;;
      *) mkdir -p node_modules packages/a/node_modules && touch node_modules/.modules.yaml ;;
    esac`,
  );
  writeProgram(folder, "npm", "exit 1");
  return root;
});

let said = "";
beforeEach(() => {
  said = "";
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/**
 * @param {string} folder
 * @param {string} root
 */
const run = (folder, root) => setUp(root, { env: envWith(folder), needsRedis: false });

/** @param {string} folder */
const countInstalls = (folder) =>
  readCalls(folder).filter((call) => call.startsWith("pnpm install --frozen-lockfile")).length;

folderTest("installs once, with the machine's own Node and pnpm", async ({ folder, root }) => {
  const first = await run(folder, root);
  const saidFirst = said;
  const second = await run(folder, root);

  expect(countInstalls(folder)).toBe(1);
  expect(readCalls(folder).filter((call) => call.startsWith("npm "))).toEqual([]);
  expect(second).toEqual(first);
  expect(saidFirst).toMatch(/^Installing packages … \d+\.\d s\n$/);
  expect(said).toBe(saidFirst);
});

folderTest("puts its Node before every other on PATH", async ({ folder, root }) => {
  const { node, env } = await run(folder, root);

  expect(node).toBe(process.execPath);
  expect(env["PATH"]?.split(":")[0]).toBe(dirname(process.execPath));
});

folderTest("installs again when a manifest or the lockfile changes", async ({ folder, root }) => {
  await run(folder, root);
  writeFileSync(join(root, "packages/a/package.json"), '{"dependencies":{"c":"1"}}');
  await run(folder, root);
  writeFileSync(join(root, "pnpm-lock.yaml"), "changed");
  await run(folder, root);

  expect(countInstalls(folder)).toBe(3);
});

folderTest("installs again when what it installed was removed", async ({ folder, root }) => {
  await run(folder, root);
  rmSync(join(root, "packages/a/node_modules"), { recursive: true });
  await run(folder, root);
  rmSync(join(root, "node_modules"), { recursive: true });
  await run(folder, root);

  expect(countInstalls(folder)).toBe(3);
});

folderTest("installs once when started twice at the same time", async ({ folder, root }) => {
  await Promise.all([run(folder, root), run(folder, root)]);

  expect(countInstalls(folder)).toBe(1);
});

folderTest("remembers no install that failed", async ({ folder, root }) => {
  writeProgram(
    folder,
    "pnpm",
    'case "$*" in --version) echo 12.0.0 ;; *) echo ERR_PNPM_OUTDATED_LOCKFILE; exit 1 ;; esac',
  );

  await expect(run(folder, root)).rejects.toThrow(/Installing packages failed\.[^]*pnpm install/);
  expect(existsSync(join(root, ".runtime/installed"))).toBe(false);
  expect(existsSync(join(root, ".runtime/lock"))).toBe(false);
});

folderTest("fetches pnpm when the machine's is of another major", async ({ folder, root }) => {
  writeProgram(folder, "pnpm", "echo 9.15.0");

  await expect(run(folder, root)).rejects.toThrow(/^Fetching pnpm 12\.21\.0 failed/);
});
