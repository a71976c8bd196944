// @ts-check
import { join } from "node:path";
import { runInForeground } from "./command.js";
import { setUp } from "./set-up.js";

/** @import { Invocation } from "./launch.js" */

/** Flags with which no Redis is started here, so that none need be installed. */
const WITHOUT_REDIS = /^(--redis-url(=.*)?|--help|-h)$/;

/**
 * Set up, then run the whole platform until it ends or is told to.
 *
 * @param {Invocation} invocation
 * @returns {Promise<number>} the platform's exit code
 */
export async function main({ root, args, env }) {
  const needsRedis = !args.some((arg) => WITHOUT_REDIS.test(arg));
  const prepared = await setUp(root, { env, needsRedis });
  const program = join(root, "packages/cli/src/main.ts");
  return runInForeground(prepared.node, [program, "up", ...args], {
    env: prepared.env,
    folder: root,
  });
}
