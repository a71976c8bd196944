// @ts-check
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { installDependencies, isInstalled } from "./dependencies.js";
import { explainFileErrors } from "./failure.js";
import { removeLeftovers } from "./fetch.js";
import { withLock } from "./lock.js";
import { readPlatform } from "./platform.js";
import { REDIS_SERVER_VARIABLE, ensureRedis } from "./redis.js";
import { interruptible } from "./signals.js";
import { ensureToolchain, findNode, withToolchain } from "./toolchain.js";

/** @import { OwnNode } from "./toolchain.js" */
/** @import { Platform } from "./platform.js" */

/**
 * What a command of Headrace runs with.
 *
 * @typedef {object} Prepared
 * @property {string} node path of the Node to run it with
 * @property {NodeJS.ProcessEnv} env with that Node first on PATH
 */

/**
 * @typedef {object} Machine
 * @property {string} runtime the folder, not under version control, that holds what was fetched
 * @property {OwnNode} ownNode what runs this
 * @property {Platform} platform what binaries run on it
 */

/**
 * Bring this checkout to where Headrace can run: Node, pnpm, the packages, and a Redis.
 *
 * Takes milliseconds and prints nothing when all is there. Safe to run several times at once.
 *
 * @param {string} root
 * @param {{ env: NodeJS.ProcessEnv, needsRedis: boolean }} options
 * @returns {Promise<Prepared>}
 */
export async function setUp(root, { env, needsRedis }) {
  const machine = machineOf(root);
  return interruptible(env, (signal) =>
    explainFileErrors("Setting up", async () => {
      // Redis first: only it may ask the user something, who may then leave the rest to itself.
      const redis = needsRedis ? await ensureRedis({ env, signal }) : null;
      const node = findReadyNode(root, machine) ?? (await install(root, machine, { env, signal }));
      const redisEnv = redis === null ? {} : { [REDIS_SERVER_VARIABLE]: redis };
      return { node, env: { ...withToolchain(env, { ...machine, node }), ...redisEnv } };
    }),
  );
}

/**
 * Find the Node to run Headrace with in a checkout that is set up; changes nothing.
 *
 * @param {string} root
 * @returns {string | null} its path; null when something but Redis is missing
 */
export function findSetUpNode(root) {
  return findReadyNode(root, machineOf(root));
}

/**
 * @param {string} root
 * @returns {Machine}
 */
function machineOf(root) {
  return {
    runtime: join(root, ".runtime"),
    ownNode: { version: process.versions.node, path: process.execPath },
    platform: readPlatform(),
  };
}

/**
 * @param {string} root
 * @param {Machine} machine
 * @returns {string | null} Node's path, when nothing but Redis may be missing
 */
function findReadyNode(root, machine) {
  const node = findNode(machine.runtime, machine);
  return node !== null && isInstalled(root, machine) ? node : null;
}

/**
 * @param {string} root
 * @param {Machine} machine
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 * @returns {Promise<string>} Node's path
 */
async function install(root, machine, { env, signal }) {
  const { runtime } = machine;
  mkdirSync(runtime, { recursive: true });
  return withLock(join(runtime, "lock"), { signal, onWait: sayWaiting }, async () => {
    const ready = findReadyNode(root, machine);
    if (ready !== null) return ready;

    removeLeftovers(runtime);
    const { node, pnpm } = await ensureToolchain(runtime, machine, { env, signal });
    const installEnv = withToolchain(env, { runtime, node });
    if (!isInstalled(root, machine)) {
      await installDependencies(root, { ...machine, pnpm }, { env: installEnv, signal });
    }
    // Once more: what a killed set-up's npm still wrote to at first is its no longer.
    removeLeftovers(runtime);
    return node;
  });
}

function sayWaiting() {
  process.stderr.write("Waiting for another set-up of this checkout to finish …\n");
}
