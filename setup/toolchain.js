// @ts-check
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findProgram, runQuietly } from "./command.js";
import { fetchPrograms, pathOfProgram } from "./fetch.js";
import { chooseNodePackage, choosePnpmPackage } from "./platform.js";
import { step } from "./progress.js";
import { NODE_VERSION, PNPM_VERSION, findVersion, majorOf } from "./versions.js";

/** @import { Platform, ProgramPackage } from "./platform.js" */

/**
 * The Node that runs the set-up, which is the one the user has.
 *
 * @typedef {{ version: string, path: string }} OwnNode
 */

/** A pnpm of the machine that does not answer within this is not used; a native one takes 30 ms. */
const VERSION_TIMEOUT_MS = 10_000;

/**
 * Find the Node to run Headrace with: the user's own when it is new enough, else the fetched one.
 *
 * @param {string} runtime the folder that holds what was fetched
 * @param {{ ownNode: OwnNode, platform: Platform }} machine
 * @returns {string | null} its path; null when it must be fetched first
 */
export function findNode(runtime, { ownNode, platform }) {
  if (majorOf(ownNode.version) >= majorOf(NODE_VERSION)) return ownNode.path;
  return findFetched(runtime, chooseNodePackage(platform));
}

/**
 * @param {string} runtime
 * @param {ProgramPackage} program
 * @returns {string | null}
 */
function findFetched(runtime, program) {
  const path = pathOfProgram(runtime, program);
  const manifest = join(runtime, "node_modules", program.name, "package.json");
  return findProgram(path, {}) !== null && readVersion(manifest) === program.version ? path : null;
}

/**
 * @param {string} manifest
 * @returns {string | null}
 */
function readVersion(manifest) {
  try {
    return String(JSON.parse(readFileSync(manifest, "utf8")).version);
  } catch {
    return null;
  }
}

/**
 * Find Node and pnpm, and fetch in one go what is missing.
 *
 * @param {string} runtime
 * @param {{ ownNode: OwnNode, platform: Platform }} machine
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 * @returns {Promise<{ node: string, pnpm: string }>} their paths
 */
export async function ensureToolchain(runtime, machine, options) {
  const pnpmPackage = choosePnpmPackage(machine.platform);
  const node = findNode(runtime, machine);
  const pnpm = findFetched(runtime, pnpmPackage) ?? (await findOwnPnpm(options));
  const missing = [
    ...(node === null ? [chooseNodePackage(machine.platform)] : []),
    ...(pnpm === null ? [pnpmPackage] : []),
  ];
  if (missing.length > 0) {
    const titles = missing.map(({ title }) => title).join(" and ");
    await step(`Fetching ${titles}`, () => fetchPrograms(runtime, missing, options));
  }
  return {
    node: node ?? pathOfProgram(runtime, chooseNodePackage(machine.platform)),
    pnpm: pnpm ?? pathOfProgram(runtime, pnpmPackage),
  };
}

/**
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 * @returns {Promise<string | null>}
 */
async function findOwnPnpm({ env, signal }) {
  const path = findProgram("pnpm", env);
  if (path === null) return null;
  // Asked from outside the checkout, where `packageManager` makes some pnpms fetch another pnpm and
  // give its version, and without the network, since Corepack's stand-in would download one.
  const { exitCode, output } = await runQuietly(path, ["--version"], {
    env: { ...env, COREPACK_ENABLE_NETWORK: "0" },
    folder: tmpdir(),
    signal,
    timeoutMs: VERSION_TIMEOUT_MS,
  });
  const version = exitCode === 0 ? findVersion(output) : null;
  return version !== null && majorOf(version) === majorOf(PNPM_VERSION) ? path : null;
}

/**
 * Put the chosen Node, and what was fetched beside it, before everything else on PATH.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {{ runtime: string, node: string }} chosen
 * @returns {NodeJS.ProcessEnv}
 */
export function withToolchain(env, { runtime, node }) {
  const folders = [dirname(node), join(runtime, "node_modules", ".bin")];
  return { ...env, PATH: [...folders, ...(env["PATH"] ? [env["PATH"]] : [])].join(":") };
}
