import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, truncate } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { readEnvironment } from "@headrace/runtime";
import { z } from "zod";

import { endWithUs } from "./orphan.ts";

const START_MS = 10_000;
const RESTART_TRIES = 5;
const RESTART_PAUSE_MS = 200;

const environmentSchema = z.object({
  /** The server's file, where it is not on the path under its own name. */
  HEADRACE_REDIS_SERVER: z.string().default("redis-server"),
});

/** A real redis-server of the test's own, with an append-only file, on a port of its own. */
export class RedisServer {
  readonly url: string;
  readonly port: number;
  readonly #directory: string;
  readonly #settings: Readonly<Record<string, string>>;
  #process: ChildProcess;

  private constructor(
    place: { readonly port: number; readonly directory: string },
    settings: Readonly<Record<string, string>>,
    child: ChildProcess,
  ) {
    const { port, directory } = place;
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.#directory = directory;
    this.#settings = settings;
    this.#process = child;
  }

  /** Start one, and wait until it serves. `settings` are redis.conf directives. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), "headrace-redis-"));
    const port = await findFreePort();
    const child = await launch(port, directory, settings);
    return new RedisServer({ port, directory }, settings, child);
  }

  /** Kill it as a crash would. What the append-only file holds survives. */
  async kill(): Promise<void> {
    await end(this.#process, "SIGKILL");
  }

  /** Say how far its append-only file has come: what `loseSince` goes back to. */
  async mark(): Promise<number> {
    return (await stat(this.#log)).size;
  }

  /** Kill it and take from it all that it wrote since the mark, as a power cut does; start it again. */
  async loseSince(mark: number): Promise<void> {
    await this.kill();
    await truncate(this.#log, mark);
    await this.restart();
  }

  /** Start it again on the same port, with the same data; `settings` come on top of the first ones. */
  async restart(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const all = { ...this.#settings, ...settings };
    this.#process = await this.#launchAgain(all);
  }

  /**
   * A client that keeps trying to connect to a port where nobody listens may come to be connected to
   * itself, and has the port until it finds out.
   */
  async #launchAgain(settings: Readonly<Record<string, string>>): Promise<ChildProcess> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await launch(this.port, this.#directory, settings);
      } catch (error) {
        if (tries === RESTART_TRIES) throw error;
        await delay(RESTART_PAUSE_MS);
      }
    }
  }

  /** Freeze or thaw it: connections stay open, nothing is answered. */
  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#process.kill(name);
  }

  /** Resident set, CPU time and the like are read by process. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The append-only file, as long as Redis has not rewritten it: not before 64 MB. */
  get #log(): string {
    return join(this.#directory, "appendonlydir", "appendonly.aof.1.incr.aof");
  }

  /** End it and remove its data. */
  async stop(): Promise<void> {
    await end(this.#process, "SIGKILL");
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Find a port that nobody listens on just now. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new TypeError("not a TCP server");
  return address.port;
}

async function launch(
  port: number,
  directory: string,
  settings: Readonly<Record<string, string>>,
): Promise<ChildProcess> {
  const options = {
    port: String(port),
    bind: "127.0.0.1",
    dir: directory,
    save: "",
    appendonly: "yes",
    ...settings,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  const program = readEnvironment(environmentSchema).HEADRACE_REDIS_SERVER;
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  endWithUs(child);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error("redis-server did not start")), START_MS);
  child.once("error", reject);
  const onExit = (code: number | null): void =>
    reject(new Error(`redis-server ended with ${code}`));
  child.once("exit", onExit);
  child.stdout.on("data", (chunk: Buffer) => {
    if (/ready to accept/i.test(chunk.toString())) resolve();
  });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    child.off("exit", onExit);
  }
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGCONT");
  child.kill(signal);
  await exit;
}
