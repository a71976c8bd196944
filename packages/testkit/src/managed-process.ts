import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

import { endWithUs } from "./orphan.ts";

const READY_MS = 15_000;
const LOOK_MS = 50;
/** A process that has not ended this long after SIGTERM is killed. */
const STOP_MS = 10_000;
/** Lines of its output kept for whoever asks what it said. */
const KEPT_LINES = 2_000;

/** What to run. */
export interface ProcessOptions {
  /** What it is called where it is talked of. */
  readonly name: string;
  /** Its file; this Node's if nothing is said. */
  readonly program?: string;
  /** Its arguments; this Node's are flags, the file that it runs, and that one's own. */
  readonly args: readonly string[];
  /** All of its environment: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where it will serve HTTP, if it does. */
  readonly url?: string;
}

/**
 * A real process of a test's own, started at once, and what may happen to one: it is killed, paused
 * and woken, told to stop, started again. Ends with the process that made it.
 */
export class ManagedProcess {
  readonly name: string;
  /** Where it serves HTTP; empty where it does not. */
  readonly url: string;
  readonly lines: string[] = [];
  readonly #options: ProcessOptions;
  #process: ChildProcess;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.url = options.url ?? "";
    this.#options = options;
    this.#process = this.#spawn();
  }

  /** 0 for one that could not be started. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get hasExited(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Wait for `path` to answer 200. @throws Error with its last words when it does not within 15 s */
  async whenReady(path: string): Promise<void> {
    const deadlineAt = performance.now() + READY_MS;
    while (performance.now() < deadlineAt && !this.hasExited) {
      const response = await fetch(new URL(path, this.url)).catch(() => null);
      await response?.body?.cancel();
      if (response?.status === 200) return;
      await delay(LOOK_MS);
    }
    throw new Error(`${this.name} is not ready:\n${this.lines.slice(-20).join("\n")}`);
  }

  /** Send a signal and wait for nothing. */
  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Stop it in the middle of whatever it does, as a debugger or a starved machine would. */
  pause(): void {
    this.signal("SIGSTOP");
  }

  /** Let it go on, with no notion of the time that has passed. */
  resume(): void {
    this.signal("SIGCONT");
  }

  /** End it as a crash would, and wait until it has. */
  async kill(): Promise<void> {
    if (this.hasExited) return;
    const exit = once(this.#process, "exit");
    this.signal("SIGKILL");
    await exit;
  }

  /** Ask it to stop, and wait until it has. @returns its exit code, null when it had to be killed */
  async stop(): Promise<number | null> {
    if (this.hasExited) return this.#process.exitCode;
    const exit = once(this.#process, "exit");
    this.signal("SIGTERM");
    // One that is paused would hear of it only when it goes on.
    this.resume();
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_MS);
    await exit;
    clearTimeout(timer);
    return this.#process.exitCode;
  }

  /** Start it again, as it was started first. @throws Error while it runs */
  restart(): void {
    if (!this.hasExited) throw new Error(`${this.name} runs already`);
    this.#process = this.#spawn();
  }

  /** Tell how it ended, if it has, and what it said last; null while it runs. */
  findEnd(): string | null {
    if (!this.hasExited) return null;
    const { exitCode, signalCode } = this.#process;
    return `${this.name} ended with ${exitCode ?? signalCode}:\n${this.lines.slice(-20).join("\n")}`;
  }

  #spawn(): ChildProcess {
    const { program = process.execPath, args, environment } = this.#options;
    const child = spawn(program, args, {
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    endWithUs(child);
    for (const stream of [child.stdout, child.stderr]) {
      let rest = "";
      stream.setEncoding("utf8").on("data", (text: string) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        this.lines.push(...lines.filter(Boolean));
        this.lines.splice(0, this.lines.length - KEPT_LINES);
      });
    }
    return child;
  }
}
