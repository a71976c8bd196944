// @ts-check
import { readdirSync } from "node:fs";
import { findProgram } from "./command.js";

/** @typedef {"apt-get" | "dnf" | "apk" | "pacman" | "brew"} Manager */

/** @typedef {readonly string[]} Invoked a program and its arguments */

/**
 * How a package manager installs a Redis.
 *
 * @typedef {object} Plan
 * @property {boolean} needsSudo whether this user may do it only through sudo
 * @property {string} typed what a person would type for the same
 * @property {readonly Invoked[]} before run first, whether they work or not
 * @property {readonly (readonly Invoked[])[]} attempts each a sequence; the first that works is enough
 * @property {readonly Invoked[]} after run last, whether the attempts worked or not
 */

/**
 * What decides how to install.
 *
 * @typedef {object} System
 * @property {boolean} isRoot whether root runs the set-up
 * @property {boolean} hasSystemd whether systemd is the init that runs
 * @property {boolean} [hasLists] whether apt-get knows any packages; looked up when not given
 */

/** @type {readonly Manager[]} */
const MANAGERS = ["apt-get", "dnf", "apk", "pacman", "brew"];

/**
 * Find the system's package manager.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Manager | null}
 */
export function findManager(env) {
  return MANAGERS.find((manager) => findProgram(manager, env) !== null) ?? null;
}

/**
 * What a person types, and, but for apt-get, what we run. Valkey comes first where Redis is old, or
 * gone.
 *
 * @type {Readonly<Record<Manager, readonly string[]>>}
 */
const COMMANDS = {
  "apt-get": ["apt-get update && apt-get install -y redis-server"],
  dnf: ["dnf install -y valkey", "dnf install -y redis"],
  apk: ["apk add --no-cache redis", "apk add --no-cache valkey"],
  pacman: ["pacman -S --noconfirm --needed valkey"],
  brew: ["brew install redis"],
};

/**
 * Say how a package manager installs Redis or Valkey without starting it as a service of the system.
 *
 * @param {Manager} manager
 * @param {System} system
 * @returns {Plan}
 */
export function planInstall(manager, system) {
  const needsSudo = manager !== "brew" && !system.isRoot;
  const typed = COMMANDS[manager].join(" || ");
  return {
    needsSudo,
    typed: needsSudo ? typed.replaceAll(`${manager} `, `sudo ${manager} `) : typed,
    ...(manager === "apt-get"
      ? planAptGet(system)
      : {
          before: [],
          attempts: COMMANDS[manager].map((command) => [command.split(" ")]),
          after: [],
        }),
  };
}

/**
 * Debian's package starts a server on port 6379 as soon as it is installed, now and at each boot.
 * Headrace runs its own and nobody asked for that one, so:
 *
 * - under systemd the unit is masked while the package is set up (in `/run`: should we die, a reboot
 *   clears it) and disabled afterwards;
 * - `RUNLEVEL=1` makes `invoke-rc.d` leave the init script alone where there is another init.
 *
 * Both leave alone what other packages do meanwhile, which a `policy-rc.d` would not.
 *
 * @param {System} system
 * @returns {Pick<Plan, "before" | "attempts" | "after">}
 */
function planAptGet({ hasSystemd, hasLists = hasAptLists() }) {
  const unit = "redis-server.service";
  const environment = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "PREVLEVEL=N"];
  const aptGet = [...environment, "apt-get", "-o", "DPkg::Lock::Timeout=120"];
  const update = [...aptGet, "update"];
  const install = [...aptGet, "install", "-y", "--no-install-recommends", "redis-server"];
  const mask = ["systemctl", "mask", "--runtime", unit];
  const unmask = ["systemctl", "unmask", "--runtime", unit];
  const disable = ["systemctl", "disable", unit];
  return {
    before: hasSystemd ? [mask] : [],
    // Lists that are there may be old, and name files that the mirror no longer has.
    attempts: [...(hasLists ? [[install]] : []), [update, install]],
    after: hasSystemd ? [unmask, disable] : [],
  };
}

/** @returns {boolean} */
function hasAptLists() {
  try {
    return readdirSync("/var/lib/apt/lists").some((name) => name.includes("_Packages"));
  } catch {
    return false;
  }
}
