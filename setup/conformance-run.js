// @ts-check
import { setUp } from "./set-up.js";
import { runTests } from "./suite.js";
import { closingLine, hasPassed } from "./tally.js";
import { VERSITYGW_VARIABLE, ensureVersitygw } from "./versitygw.js";

/** @import { Invocation } from "./launch.js" */
/** @import { Prepared } from "./set-up.js" */
/** @import { Tally } from "./tally.js" */

/**
 * Set up, then hold storage, and an ingress with it, against a real S3 server and a folder, and close
 * with the count alone on a line.
 *
 * @param {Invocation} invocation
 * @returns {Promise<number>} 1 when a test failed, or none ran
 */
export async function main({ root, args, env }) {
  const prepared = await setUp(root, { env, needsRedis: true });
  const tally = await runConformance(root, { prepared, args });
  process.stdout.write(`\n${closingLine(tally)}\n`);
  return hasPassed(tally) ? 0 : 1;
}

/**
 * Build the server where it is not there, and run the tests that need it.
 *
 * @param {string} root
 * @param {{ prepared: Prepared, args: readonly string[] }} options
 * @returns {Promise<Tally>}
 * @throws {import("./failure.js").SetUpError} when it cannot be built
 */
export async function runConformance(root, { prepared, args }) {
  const server = await ensureVersitygw(root, prepared);
  const env = { ...prepared.env, [VERSITYGW_VARIABLE]: server };
  return runTests(root, {
    prepared: { ...prepared, env },
    args,
    config: "setup/conformance.config.js",
  });
}
