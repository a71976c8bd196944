// @ts-check
// Whatever Node the machine has parses this file before its version can be judged, so it keeps to
// the syntax of Node 12 and imports nothing.

/**
 * What a command is started with.
 *
 * @typedef {object} Invocation
 * @property {string} root the checkout
 * @property {string[]} args what the user typed after `--`
 * @property {NodeJS.ProcessEnv} env what the process was started with
 */

/** Oldest Node that runs the set-up; the one that runs the platform is fetched where it is older. */
const OLDEST_NODE_MAJOR = 20;

/**
 * Run a command once this machine's Node is known to be able to, and exit with its code.
 *
 * A failure the set-up foresaw prints as its message alone; any other shows its stack.
 *
 * @param {() => Promise<{ main: (invocation: Invocation) => Promise<number> }>} load
 * @returns {Promise<void>}
 */
export async function launch(load) {
  const objection = findObjection(process.versions.node, process.platform);
  if (objection !== null) {
    process.stderr.write(`${objection}\n`);
    process.exitCode = 1;
    return;
  }

  try {
    const { main } = await load();
    const root = decodeURIComponent(new URL("..", import.meta.url).pathname);
    // oxlint-disable-next-line node/no-process-env -- the one place where the set-up reads it
    process.exitCode = await main({ root, args: process.argv.slice(2), env: process.env });
  } catch (error) {
    process.exitCode = report(error);
  }
}

/**
 * Say in one line why the set-up cannot run here.
 *
 * @param {string} nodeVersion
 * @param {string} platform
 * @returns {string | null} null when it can
 */
export function findObjection(nodeVersion, platform) {
  if (platform === "win32") {
    return "Headrace runs on Linux and macOS. On Windows, run it inside WSL 2.";
  }
  if (Number.parseInt(nodeVersion, 10) < OLDEST_NODE_MAJOR) {
    return `Headrace needs Node ${OLDEST_NODE_MAJOR} or newer to set itself up; this is ${nodeVersion}. Install a newer Node and run the command again.`;
  }
  return null;
}

/**
 * @param {unknown} error
 * @returns {number} the exit code
 */
function report(error) {
  if (error instanceof Error && error.name === "SetUpError") {
    process.stderr.write(`\n${error.message}\n`);
    return "exitCode" in error ? Number(error.exitCode) : 1;
  }
  process.stderr.write(`\n${error instanceof Error ? String(error.stack) : String(error)}\n`);
  return 1;
}
