// @ts-check
import { join } from "node:path";
import { runInForeground } from "./command.js";
import { setUp } from "./set-up.js";

/** @import { Invocation } from "./launch.js" */

/**
 * Set up, then run the fault matrix.
 *
 * @param {Invocation} invocation
 * @returns {Promise<number>}
 */
export async function main({ root, args, env }) {
  const prepared = await setUp(root, { env, needsRedis: true });
  const program = join(root, "test/faults/main.ts");
  return runInForeground(prepared.node, [program, ...args], { env: prepared.env, folder: root });
}
