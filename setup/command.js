// @ts-check
import { spawn } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { isSystemError } from "./failure.js";
import { exitCodeOf, whileHandlingStops } from "./signals.js";

/**
 * How a command ended.
 *
 * @typedef {object} Outcome
 * @property {number} exitCode 127 when there is no such program
 * @property {string} output the end of what it wrote to both outputs
 */

/**
 * @typedef {object} CommandOptions
 * @property {NodeJS.ProcessEnv} env all of the command's environment
 * @property {string} [folder] where it runs
 * @property {AbortSignal} [signal] ends the command, and rejects with the reason once it is gone
 * @property {number} [timeoutMs] ends the command when it takes longer
 * @property {boolean} [canAsk] whether it may read the terminal, as sudo does for a password
 */

/** Keeps the end of a long log: a failure is told at the end. */
const KEPT_CHARACTERS = 32_768;

/**
 * Run a command quietly and keep the end of its output.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {CommandOptions} options
 * @returns {Promise<Outcome>}
 */
export async function runQuietly(program, args, options) {
  const { env, folder, signal, timeoutMs, canAsk = false } = options;
  signal?.throwIfAborted();
  const child = spawn(program, args, {
    env,
    stdio: [canAsk ? "inherit" : "ignore", "pipe", "pipe"],
    ...(folder === undefined ? {} : { cwd: folder }),
    ...(timeoutMs === undefined ? {} : { timeout: timeoutMs }),
  });
  let output = "";
  /** @param {string} text */
  const keep = (text) => {
    output = (output + text).slice(-KEPT_CHARACTERS);
  };
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  const stop = () => child.kill("SIGTERM");
  signal?.addEventListener("abort", stop);

  try {
    const exitCode = await endOf(child, keep);
    signal?.throwIfAborted();
    return { exitCode, output };
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/**
 * Run a command in the foreground, as if the user had typed it, and pass on each wish to stop.
 *
 * Ends only when the command has ended, so none is left behind. At a terminal Ctrl-C reaches the
 * command without our help, and a second one would tell it to hurry.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ env: NodeJS.ProcessEnv, folder: string }} options
 * @returns {Promise<number>} its exit code
 */
export async function runInForeground(program, args, { env, folder }) {
  const child = spawn(program, args, { env, cwd: folder, stdio: "inherit" });
  /** @param {NodeJS.Signals} signal */
  const stop = (signal) => {
    const isDeliveredByTerminal = signal === "SIGINT" && process.stdin.isTTY;
    if (!isDeliveredByTerminal) child.kill(signal);
  };
  return whileHandlingStops({ env, stop }, () =>
    endOf(child, (text) => process.stderr.write(text)),
  );
}

/**
 * @param {import("node:child_process").ChildProcess} child
 * @param {(text: string) => void} complain told why the program could not be started
 * @returns {Promise<number>}
 */
function endOf(child, complain) {
  return new Promise((resolve) => {
    child.once("error", (error) => {
      complain(`${error.message}\n`);
      resolve(isSystemError(error) && error.code === "ENOENT" ? 127 : 126);
    });
    child.once("close", (code, signal) =>
      resolve(signal === null ? (code ?? 1) : exitCodeOf(signal)),
    );
  });
}

/**
 * Find the file that a shell would run for a program's name.
 *
 * @param {string} program a name, or a path
 * @param {NodeJS.ProcessEnv} env
 * @returns {string | null}
 */
export function findProgram(program, env) {
  if (program.includes("/")) return isProgram(program) ? program : null;
  const folders = (env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find(isProgram) ?? null;
}

/**
 * @param {string} path
 * @returns {boolean}
 */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
