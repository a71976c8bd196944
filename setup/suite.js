// @ts-check
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runInForeground } from "./command.js";
import { setUp } from "./set-up.js";
import { closingLine, countTests, hasPassed } from "./tally.js";

/** @import { Invocation } from "./launch.js" */
/** @import { Prepared } from "./set-up.js" */
/** @import { Tally } from "./tally.js" */

/**
 * Set up, then run every package's tests, or those whose path holds one of the arguments, and close
 * with their count alone on a line.
 *
 * @param {Invocation} invocation
 * @returns {Promise<number>} 1 when a test failed, or none ran
 */
export async function main({ root, args, env }) {
  const prepared = await setUp(root, { env, needsRedis: true });
  const tally = await runTests(root, { prepared, args });
  process.stdout.write(`\n${closingLine(tally)}\n`);
  return hasPassed(tally) ? 0 : 1;
}

/**
 * Run the tests in one process of the test runner, so that there is one count.
 *
 * @param {string} root
 * @param {{ prepared: Prepared, args: readonly string[], config?: string }} options `config` names the
 *   runner's configuration, that of every package's tests if nothing is said
 * @returns {Promise<Tally>}
 */
export async function runTests(root, { prepared, args, config = "setup/vitest.config.js" }) {
  const folder = mkdtempSync(join(tmpdir(), "headrace-tests-"));
  const report = join(folder, "report.json");
  try {
    const exitCode = await runInForeground(
      prepared.node,
      [
        join(root, "node_modules/vitest/vitest.mjs"),
        "run",
        `--root=${root}`,
        `--config=${join(root, config)}`,
        "--reporter=default",
        "--reporter=json",
        `--outputFile.json=${report}`,
        ...args,
      ],
      { env: prepared.env, folder: root },
    );
    return countTests(readReport(report), exitCode);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} path
 * @returns {unknown} null when the runner wrote none
 */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}
