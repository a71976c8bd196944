// @ts-check
import { findProgram, runQuietly } from "./command.js";
import { SetUpError } from "./failure.js";
import { REDIS_ALTERNATIVES, installRedis } from "./redis-install.js";
import { OLDEST_REDIS_VERSION, findVersion, isAtLeast } from "./versions.js";

/** @typedef {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} Options */

/** Names the server where it is not on PATH, or not called by its own name. */
export const REDIS_SERVER_VARIABLE = "HEADRACE_REDIS_SERVER";

/** Either serves; Redis first, since that is what is measured. */
const SERVERS = ["redis-server", "valkey-server"];

/**
 * Find a Redis or Valkey server that is new enough, and install one where there is none.
 *
 * @param {Options} options
 * @returns {Promise<string>} its path
 */
export async function ensureRedis(options) {
  const found = await findRedis(options);
  if (found !== null) return found;
  await installRedis(options);
  const installed = await findRedis(options);
  if (installed !== null) return installed;
  throw new SetUpError(
    `The package manager reports Redis as installed, but neither ${SERVERS.join(" nor ")} is on PATH.\nAdd its folder to PATH. ${REDIS_ALTERNATIVES}`,
  );
}

/**
 * Find a server that is new enough.
 *
 * @param {Options} options
 * @returns {Promise<string | null>} its path; null when the machine has none at all
 * @throws {SetUpError} when what it has is too old or does not run
 */
export async function findRedis(options) {
  const named = options.env[REDIS_SERVER_VARIABLE];
  const paths = (named ? [named] : SERVERS).flatMap((name) => findProgram(name, options.env) ?? []);
  if (named && paths.length === 0) {
    throw new SetUpError(
      `${REDIS_SERVER_VARIABLE} is ${named}, which is no program. Correct it, or unset it to use the machine's own.`,
    );
  }

  const objections = [];
  for (const path of paths) {
    const objection = await findObjection(path, options);
    if (objection === null) return path;
    objections.push(objection);
  }
  if (objections.length === 0) return null;
  throw new SetUpError(
    [
      ...objections,
      `Headrace needs Redis ${OLDEST_REDIS_VERSION} or newer, or any Valkey. The system's package manager may have it as \`valkey\`.`,
      REDIS_ALTERNATIVES,
    ].join("\n"),
  );
}

/**
 * @param {string} path
 * @param {Options} options
 * @returns {Promise<string | null>}
 */
async function findObjection(path, options) {
  const { exitCode, output } = await runQuietly(path, ["--version"], options);
  const version = exitCode === 0 ? findVersion(output) : null;
  if (version === null) return `${path} does not run: ${output.trim()}`;
  return isAtLeast(version, OLDEST_REDIS_VERSION) ? null : `${path} is version ${version}.`;
}
