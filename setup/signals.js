// @ts-check
import { constants } from "node:os";
import { SetUpError } from "./failure.js";

/** @typedef {"SIGINT" | "SIGTERM" | "SIGHUP"} StopSignal */

/** @type {readonly StopSignal[]} */
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** npm passes on the Ctrl-C that the terminal has sent to us as well: both are one wish. */
const SAME_WISH_MS = 1_000;

/** How often we look whether npm is still there. */
const PARENT_LOOK_MS = 500;

/**
 * Call `stop` for each distinct wish to stop this process while `work` runs.
 *
 * The end of an npm that started us is such a wish: told to terminate, it ends the shell that it put
 * between itself and us, and we hear nothing.
 *
 * @template Result
 * @param {{ env: NodeJS.ProcessEnv, stop: (signal: StopSignal) => void }} options
 * @param {() => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function whileHandlingStops({ env, stop }, work) {
  let lastAt = -Infinity;
  /** @param {StopSignal} signal */
  const handle = (signal) => {
    const now = performance.now();
    if (now - lastAt < SAME_WISH_MS) return;
    lastAt = now;
    stop(signal);
  };

  const parent = process.ppid;
  const look = setInterval(() => {
    if (process.ppid === parent || env["npm_lifecycle_event"] === undefined) return;
    clearInterval(look);
    handle("SIGTERM");
  }, PARENT_LOOK_MS);
  for (const signal of STOP_SIGNALS) process.on(signal, handle);
  try {
    return await work();
  } finally {
    clearInterval(look);
    for (const signal of STOP_SIGNALS) process.off(signal, handle);
  }
}

/**
 * Let the user stop `work` half-way: its signal aborts, so that it can clear away what is half made.
 * A second stop ends the process at once.
 *
 * @template Result
 * @param {NodeJS.ProcessEnv} env
 * @param {(signal: AbortSignal) => Promise<Result>} work
 * @returns {Promise<Result>}
 */
export async function interruptible(env, work) {
  const controller = new AbortController();
  /** @param {StopSignal} signal */
  const stop = (signal) => {
    const exitCode = exitCodeOf(signal);
    if (controller.signal.aborted) process.exit(exitCode);
    controller.abort(
      new SetUpError("Stopped. The next run takes up where this one left.", { exitCode }),
    );
  };
  return whileHandlingStops({ env, stop }, () => work(controller.signal));
}

/**
 * What a shell reports for a process that a signal ended.
 *
 * @param {NodeJS.Signals} signal
 * @returns {number}
 */
export function exitCodeOf(signal) {
  return 128 + constants.signals[signal];
}
