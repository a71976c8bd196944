// @ts-check
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { findProgram, runQuietly } from "./command.js";
import { SetUpError, describeFailure, explainFileErrors } from "./failure.js";
import { withLock } from "./lock.js";
import { step } from "./progress.js";
import { interruptible } from "./signals.js";

/** Pinned: what the tests were seen to pass with. */
const VERSITYGW_VERSION = "v1.7.0";

/** Names the server's file to the tests that drive it. */
export const VERSITYGW_VARIABLE = "HEADRACE_VERSITYGW";

/** Where go.dev's own archive belongs: not on every PATH. */
const USUAL_GO = "/usr/local/go/bin/go";

const MODULE = "github.com/versity/versitygw/cmd/versitygw";

/** A minute or two where nothing of it is there yet, on two cores. */
const BUILD_MS = 600_000;

/**
 * Build versitygw, an S3 server that keeps objects in a folder, unless this checkout has it.
 *
 * @param {string} root
 * @param {{ env: NodeJS.ProcessEnv, usualGo?: string }} options
 * @returns {Promise<string>} its path
 * @throws {SetUpError} where Go is missing, or does not build it
 */
export async function ensureVersitygw(root, { env, usualGo = USUAL_GO }) {
  const runtime = join(root, ".runtime");
  const path = join(runtime, `versitygw-${VERSITYGW_VERSION}`, "versitygw");
  if (existsSync(path)) return path;
  return interruptible(env, (signal) =>
    explainFileErrors("Building versitygw", async () => {
      mkdirSync(runtime, { recursive: true });
      await withLock(join(runtime, "lock"), { signal, onWait: sayWaiting }, async () => {
        if (!existsSync(path))
          await build(runtime, path, { env, signal, go: findGo(env, usualGo) });
      });
      return path;
    }),
  );
}

/**
 * Find the program that builds it.
 *
 * @param {NodeJS.ProcessEnv} env
 * @param {string} [usualGo] where to look after PATH
 * @returns {string | null}
 */
export function findGo(env, usualGo = USUAL_GO) {
  return findProgram("go", env) ?? findProgram(usualGo, env);
}

/**
 * @param {string} runtime
 * @param {string} path where it belongs
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal, go: string | null }} options
 */
async function build(runtime, path, { env, signal, go }) {
  if (go === null) {
    throw new SetUpError(
      `The conformance tests need Go, to build ${MODULE}@${VERSITYGW_VERSION}, and there is no \`go\` on PATH or in /usr/local/go.\nInstall Go 1.25 or newer (https://go.dev/dl), or leave these tests to CI, which has it.`,
    );
  }
  // Beside its place, and moved there whole.
  const folder = mkdtempSync(join(runtime, "fetch-versitygw-"));
  try {
    const args = ["install", `${MODULE}@${VERSITYGW_VERSION}`];
    const buildEnv = { ...env, GOBIN: folder };
    const { exitCode, output } = await step(`Building versitygw ${VERSITYGW_VERSION}`, () =>
      runQuietly(go, args, { env: buildEnv, signal, timeoutMs: BUILD_MS }),
    );
    if (exitCode !== 0) {
      throw describeFailure("Building versitygw", { command: ["go", ...args].join(" "), output });
    }
    rmSync(dirname(path), { recursive: true, force: true });
    renameSync(folder, dirname(path));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function sayWaiting() {
  process.stderr.write("Waiting for another set-up of this checkout to finish …\n");
}
