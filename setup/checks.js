// @ts-check
import { runInForeground, runQuietly } from "./command.js";
import { runConformance } from "./conformance-run.js";
import { SetUpError } from "./failure.js";
import { secondsSince } from "./progress.js";
import { setUp } from "./set-up.js";
import { runTests } from "./suite.js";
import { closingLine, hasPassed } from "./tally.js";
import { findGo } from "./versitygw.js";

/** @import { Invocation } from "./launch.js" */
/** @import { Prepared } from "./set-up.js" */
/** @import { Tally } from "./tally.js" */

/** Scripts of the root manifest, each of which counts as one more test. */
const SCRIPTS = ["format", "lint", "typecheck", "unused"];

/** The width of the longest name, so that the summary stands in columns. */
const NAME_WIDTH = 10;

/**
 * Set up, then do all that a change must pass: the tests, storage's conformance, the checks, and a tree
 * left as it was.
 *
 * @param {Invocation} invocation
 * @returns {Promise<number>} 1 when anything failed
 */
export async function main({ root, args, env }) {
  const treeBefore = await readTree(root, env);
  const prepared = await setUp(root, { env, needsRedis: true });

  const startedAt = performance.now();
  const tests = await runTests(root, { prepared, args });
  const summary = [describe("tests", closingLine(tests), startedAt)];
  const conformedAt = performance.now();
  const conformance = await holdAgainstServer(root, prepared);
  summary.push(describe("storage", closingLine(conformance), conformedAt));
  let tally = sum(tests, conformance);
  for (const name of SCRIPTS) {
    const checkedAt = performance.now();
    const isFine = await runScript(root, { prepared, name });
    tally = add(tally, isFine);
    summary.push(describe(name, isFine ? "passed" : "FAILED", checkedAt));
  }

  const treeAfter = await readTree(root, env);
  tally = add(tally, treeAfter === treeBefore);
  summary.push(`clean tree  ${treeAfter === treeBefore ? "passed" : `FAILED\n${treeAfter}`}`);

  process.stdout.write(`\n${summary.join("\n")}\n\n${closingLine(tally)}\n`);
  return hasPassed(tests) && hasPassed(tally) ? 0 : 1;
}

/**
 * @param {string} root
 * @param {Prepared} prepared
 * @returns {Promise<Tally>} one failure where the server cannot be had; nothing where there is no Go
 */
async function holdAgainstServer(root, prepared) {
  process.stdout.write("\n── test:conformance\n");
  if (findGo(prepared.env) === null) {
    process.stdout.write("left out: there is no Go to build an S3 server with\n");
    return { passed: 0, failed: 0, skipped: 1 };
  }
  try {
    return await runConformance(root, { prepared, args: [] });
  } catch (error) {
    if (!(error instanceof SetUpError) || error.exitCode !== 1) throw error;
    process.stderr.write(`${error.message}\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/**
 * @param {string} root
 * @param {{ prepared: Prepared, name: string }} options
 * @returns {Promise<boolean>}
 */
async function runScript(root, { prepared, name }) {
  process.stdout.write(`\n── ${name}\n`);
  const { node, env } = prepared;
  return (await runInForeground(node, ["--run", name], { env, folder: root })) === 0;
}

/**
 * @param {string} root
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>} what git sees as changed or new
 */
async function readTree(root, env) {
  const { output } = await runQuietly("git", ["status", "--porcelain"], { env, folder: root });
  return output;
}

/**
 * @param {Tally} one
 * @param {Tally} other
 * @returns {Tally}
 */
function sum(one, other) {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
  };
}

/**
 * @param {Tally} tally
 * @param {boolean} isFine
 * @returns {Tally}
 */
function add(tally, isFine) {
  return isFine ? { ...tally, passed: tally.passed + 1 } : { ...tally, failed: tally.failed + 1 };
}

/**
 * @param {string} name
 * @param {string} verdict
 * @param {number} startedAt ms of `performance.now()`
 * @returns {string}
 */
function describe(name, verdict, startedAt) {
  return `${name.padEnd(NAME_WIDTH)}  ${verdict} (${secondsSince(startedAt)} s)`;
}
