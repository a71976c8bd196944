// @ts-check
import { existsSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { runQuietly } from "./command.js";
import { SetUpError, describeFailure } from "./failure.js";
import { findManager, planInstall } from "./package-managers.js";
import { step } from "./progress.js";

/** @import { Invoked, Plan } from "./package-managers.js" */
/** @import { Outcome } from "./command.js" */

/** @typedef {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} Options */

/** What helps where the set-up cannot. */
export const REDIS_ALTERNATIVES =
  "Or name a server's file in HEADRACE_REDIS_SERVER, or use one that runs: npm start -- --redis-url redis://host:6379";

/**
 * Install Redis with the system's package manager, asking first at a terminal.
 *
 * @param {Options} options
 * @returns {Promise<void>}
 * @throws {SetUpError} with what to type, when it may not or cannot
 */
export async function installRedis(options) {
  const manager = findManager(options.env);
  if (manager === null) {
    throw new SetUpError(
      `Headrace needs redis-server or valkey-server, and this machine has neither, nor a package manager that Headrace knows.\nInstall one of them. ${REDIS_ALTERNATIVES}`,
    );
  }
  const plan = planInstall(manager, {
    isRoot: process.getuid?.() === 0,
    hasSystemd: existsSync("/run/systemd/system"),
  });
  const prefix = await chooseRights(plan, options);
  await step(`Installing Redis with ${manager}`, () => carryOut(plan, prefix, options));
}

/**
 * Decide how to run the commands, which may be not at all.
 *
 * @param {Plan} plan
 * @param {Options} options
 * @returns {Promise<string[]>} what goes before each command
 */
async function chooseRights(plan, options) {
  if (isAtTerminal(options.env)) {
    await askLeave(plan, options.signal);
    return plan.needsSudo ? ["sudo"] : [];
  }
  if (!plan.needsSudo) return [];
  const { exitCode } = await runQuietly("sudo", ["-n", "true"], options);
  if (exitCode === 0) return ["sudo", "-n"];
  throw new SetUpError(refusal("and this user may not install it.", plan));
}

/**
 * @param {NodeJS.ProcessEnv} env
 * @returns {boolean}
 */
function isAtTerminal(env) {
  return process.stdin.isTTY && process.stderr.isTTY && !env["CI"];
}

/**
 * @param {Plan} plan
 * @param {AbortSignal} signal
 */
async function askLeave(plan, signal) {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // In raw mode the terminal turns Ctrl-C into a key, which is no signal until we make it one.
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    const answer = await terminal.question(
      `Headrace needs Redis, and this machine has none. Install it now (${plan.typed})? [y/N] `,
      { signal },
    );
    if (!/^y(es)?$/i.test(answer.trim()))
      throw new SetUpError(refusal("and nothing was installed.", plan));
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    terminal.close();
  }
}

/**
 * @param {string} why
 * @param {Plan} plan
 * @returns {string}
 */
function refusal(why, plan) {
  return `Headrace needs redis-server or valkey-server, this machine has neither, ${why}\nType: ${plan.typed}\n${REDIS_ALTERNATIVES}`;
}

/**
 * @param {Plan} plan
 * @param {readonly string[]} prefix
 * @param {Options} options
 */
async function carryOut(plan, prefix, options) {
  /**
   * @param {Invoked} command
   * @param {import("./command.js").CommandOptions} runOptions
   */
  const run = (command, runOptions) => {
    const [program = "", ...args] = [...prefix, ...command];
    return runQuietly(program, args, { ...runOptions, canAsk: true });
  };

  for (const command of plan.before) await run(command, options);
  try {
    const { command, outcome } = await runFirstThatWorks(plan.attempts, (attempt) =>
      run(attempt, options),
    );
    if (outcome.exitCode !== 0) {
      throw describeFailure("Installing Redis", {
        command: [...prefix, ...command].join(" "),
        output: outcome.output,
        otherwise: `Mend what it names, or type: ${plan.typed}\n${REDIS_ALTERNATIVES}`,
      });
    }
  } finally {
    // Without the signal: what was set aside for the install is put back even when it was stopped.
    for (const command of plan.after) await run(command, { env: options.env });
  }
}

/**
 * @param {Plan["attempts"]} attempts
 * @param {(command: Invoked) => Promise<Outcome>} run
 * @returns {Promise<{ command: Invoked, outcome: Outcome }>} the last command that ran
 */
async function runFirstThatWorks(attempts, run) {
  /** @type {{ command: Invoked, outcome: Outcome }} */
  let last = { command: [], outcome: { exitCode: 1, output: "" } };
  for (const attempt of attempts) {
    for (const command of attempt) {
      last = { command, outcome: await run(command) };
      if (last.outcome.exitCode !== 0) break;
    }
    if (last.outcome.exitCode === 0) break;
  }
  return last;
}
