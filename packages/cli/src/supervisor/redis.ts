import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

import type { DataDirectory } from "../data-directory.ts";
import type { Environment } from "../environment.ts";
import { CommandFailure } from "../failure.ts";
import type { PartPlan } from "./part.ts";

/** Either serves; Redis first, since that is what is measured. */
const SERVERS = ["redis-server", "valkey-server"];
/** A large append-only file takes its time to load, ms. */
const READY_MS = 60_000;
const PASSWORD_BYTES = 16;

/** A Redis of the platform's own. */
export interface OwnRedis {
  readonly plan: PartPlan;
  readonly port: number;
  /** With its password. */
  readonly url: string;
}

/**
 * Plan a Redis that keeps its data in the data directory and serves this machine only, behind a
 * password made for this run: jobs are not for every user of the machine to read.
 *
 * @throws CommandFailure when no server is installed
 */
export function planRedis(
  directory: DataDirectory,
  environment: Environment,
  port: number,
): OwnRedis {
  const command = findServer(environment);
  const password = randomBytes(PASSWORD_BYTES).toString("hex");
  const settings = {
    port,
    bind: "127.0.0.1",
    dir: JSON.stringify(directory.redisPath),
    appendonly: "yes",
    appendfsync: environment.HEADRACE_DURABILITY === "redis-always" ? "always" : "everysec",
    // The append-only file holds everything; a snapshot would only double the writes.
    save: '""',
    "maxmemory-policy": "noeviction",
    requirepass: password,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
  return {
    port,
    url: `redis://:${password}@127.0.0.1:${port}`,
    plan: {
      name: "redis",
      // By standard input, since every user of the machine can read a command line.
      program: { command, args: ["-"], input: `${lines.join("\n")}\n` },
      readiness: { line: /ready to accept connections/i },
      readyMs: READY_MS,
      advice: `It is ${command}, on port ${port}. HEADRACE_REDIS_SERVER names another program, --redis-port another port.`,
    },
  };
}

function findServer({ HEADRACE_REDIS_SERVER: named, PATH: path }: Environment): string {
  if (named !== undefined) return named;
  const folders = path.split(delimiter).filter((folder) => folder !== "");
  const found = SERVERS.flatMap((name) => folders.map((folder) => join(folder, name))).find(
    isProgram,
  );
  if (found !== undefined) return found;
  throw new CommandFailure(
    `Headrace needs ${SERVERS.join(" or ")}, and neither is on PATH. Install one:
  Debian, Ubuntu  sudo apt-get install redis-server
  Fedora          sudo dnf install valkey
  Alpine          sudo apk add redis
  macOS           brew install redis
Or use one that runs: --redis-url redis://host:6379`,
  );
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
