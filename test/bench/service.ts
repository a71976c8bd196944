import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const READY_MS = 15_000;
/** A service that has not ended this long after SIGTERM is killed. */
const STOP_MS = 10_000;
const LOOK_MS = 50;
/** What a process said last is shown when it fails; so many characters of it. */
const KEPT_CHARACTERS = 4_000;

/** How to start a service. */
export interface ServiceOptions {
  /** Its folder in `services/`. */
  readonly name: string;
  /** Where it will listen. */
  readonly url: string;
  /** Path at that address that answers 200 once it is ready. */
  readonly readyPath: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly flags?: readonly string[];
  /** Folder for its CPU profile, written when it ends; null for none. */
  readonly profile?: string | null;
}

/** One of the platform's processes, as it really runs. */
export class Service {
  readonly url: string;
  readonly #name: string;
  readonly #process: ChildProcess;
  #said = "";

  constructor({ name, url, environment = {}, flags = [], profile = null }: ServiceOptions) {
    const program = fileURLToPath(new URL(`../../services/${name}/src/main.ts`, import.meta.url));
    const profiling = profile === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}/${name}`];
    this.url = url;
    this.#name = name;
    this.#process = spawn(process.execPath, [...profiling, program, ...flags], {
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#said = (this.#said + text).slice(-KEPT_CHARACTERS);
      });
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Wait until it serves. @throws Error with its last words when it does not within 15 s */
  async whenReady(path: string): Promise<void> {
    const deadlineAt = performance.now() + READY_MS;
    while (performance.now() < deadlineAt && !this.#hasExited) {
      const response = await fetch(new URL(path, this.url)).catch(() => null);
      await response?.body?.cancel();
      if (response?.status === 200) return;
      await delay(LOOK_MS);
    }
    throw new Error(`${this.#name} is not ready:\n${this.#said}`);
  }

  /** Tell how it ended, if it has, and what it said last; null while it runs. */
  findEnd(): string | null {
    if (!this.#hasExited) return null;
    const { exitCode, signalCode } = this.#process;
    return `${this.#name} ended with ${exitCode ?? signalCode}:\n${this.#said}`;
  }

  /** Ask it to stop, and wait until it has. */
  async stop(): Promise<void> {
    if (this.#hasExited) return;
    const exit = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), STOP_MS);
    await exit;
    clearTimeout(timer);
  }

  /** End it at once. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  get #hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }
}
