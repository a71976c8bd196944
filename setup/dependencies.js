// @ts-check
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runQuietly } from "./command.js";
import { describeFailure } from "./failure.js";
import { step } from "./progress.js";
import { findPackageFolders } from "./workspace.js";

/** @import { Platform } from "./platform.js" */

/** Holds the digest of what the installed packages were installed from. */
const STAMP = "installed";

/**
 * Left alone, pnpm's retries wait 10 s and then 60 s, for a few packages at a time: without a network
 * it had not given up after 5 minutes; so it gives up after half of one.
 */
const PNPM_INSTALL = [
  "install",
  "--frozen-lockfile",
  "--config.fetch-retry-mintimeout=1000",
  "--config.fetch-retry-maxtimeout=2000",
];

/**
 * Tell whether the workspace's packages are installed as its manifests and lockfile ask.
 *
 * Trusts the stamp for what is inside `node_modules`, and looks only whether each is there.
 *
 * @param {string} root
 * @param {{ runtime: string, platform: Platform }} machine
 * @returns {boolean}
 */
export function isInstalled(root, { runtime, platform }) {
  const stamp = join(runtime, STAMP);
  if (!existsSync(stamp) || !existsSync(join(root, "node_modules", ".modules.yaml"))) return false;
  const hasModules = findPackageFolders(root).every(
    (folder) => !hasDependencies(root, folder) || existsSync(join(root, folder, "node_modules")),
  );
  return hasModules && readFileSync(stamp, "utf8") === digestOf(root, platform);
}

/**
 * @param {string} root
 * @param {string} folder
 * @returns {boolean}
 */
function hasDependencies(root, folder) {
  const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  return Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).length > 0;
}

/**
 * Digest everything that decides what `pnpm install` would put where.
 *
 * @param {string} root
 * @param {Platform} platform
 * @returns {string}
 */
function digestOf(root, { os, cpu, isMusl }) {
  const manifests = findPackageFolders(root).map((folder) => `${folder}/package.json`);
  const hash = createHash("sha256").update(`${os} ${cpu} ${isMusl}\n`);
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json", ...manifests]) {
    const content = readFileSync(join(root, file));
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

/**
 * Install the workspace's packages exactly as the lockfile says, and remember from what.
 *
 * @param {string} root
 * @param {{ runtime: string, platform: Platform, pnpm: string }} machine
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 * @returns {Promise<void>}
 */
export async function installDependencies(root, { runtime, platform, pnpm }, { env, signal }) {
  const digest = digestOf(root, platform);
  await step("Installing packages", async () => {
    // Without a terminal pnpm stops to ask before it replaces another layout, unless CI is set.
    const installEnv = { ...env, CI: "true" };
    const outcome = await runQuietly(pnpm, PNPM_INSTALL, { env: installEnv, folder: root, signal });
    if (outcome.exitCode !== 0) {
      throw describeFailure("Installing packages", {
        command: `pnpm ${PNPM_INSTALL.join(" ")}`,
        output: outcome.output,
      });
    }
  });
  const stamp = join(runtime, STAMP);
  writeFileSync(`${stamp}.new`, digest);
  renameSync(`${stamp}.new`, stamp);
}
