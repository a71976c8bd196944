import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { childEnvironment } from "@headrace/runtime";

/** What to start. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  /** On top of the supervisor's own. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Sent to its standard input, which is then closed: secrets belong here, not into `args`. */
  readonly input?: string;
}

/** Make a program of a TypeScript file that ends with its supervisor. */
export function nodeProgram(
  path: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  nodeOptions: readonly string[] = [],
): Program {
  const leash = new URL("leash.ts", import.meta.url).href;
  const allArgs = [...nodeOptions, "--import", leash, path, ...args];
  return { command: process.execPath, args: allArgs, variables };
}

/** Path of a service's program in this checkout. */
export function servicePath(service: string): string {
  return fileURLToPath(new URL(`../../../../services/${service}/src/main.ts`, import.meta.url));
}

/** How long a child may take to stop after SIGTERM, ms. */
const STOP_MS = 10_000;
/** Enough of a child's last words to see what ailed it. */
const KEPT_LINES = 12;
const KEPT_LINE_LENGTH = 400;

/** One running process, in a session of its own so that the terminal's Ctrl-C passes it by. */
export class Child {
  readonly #process: ChildProcess;
  readonly #onLine: (line: string) => void;
  readonly #lastLines: string[] = [];
  /** Resolves once it has ended and all its output was read, to how it ended. */
  readonly ended: Promise<string>;

  constructor(program: Program, onLine: (line: string) => void) {
    const { command, args, variables = {}, input } = program;
    this.#onLine = onLine;
    this.#process = spawn(command, args, {
      env: childEnvironment(variables),
      detached: true,
      // The fourth is the leash; a program that knows nothing of it is not bothered by it.
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    });
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    this.#process.once("error", (error) => resolve(`could not be started: ${error.message}`));
    this.#process.once("close", (code, signal) => resolve(`ended ${describeEnd(code, signal)}`));
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", this.#take);
    }
    // A child that ended before it read its input is told of by its end.
    this.#process.stdin?.on("error", () => undefined);
    this.#process.stdin?.end(input);
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  /** Ask it to stop, kill it after 10 s, and wait until it is gone. */
  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.kill(), STOP_MS);
    await this.ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  readonly #take = (line: string): void => {
    this.#lastLines.push(line.slice(0, KEPT_LINE_LENGTH));
    if (this.#lastLines.length > KEPT_LINES) this.#lastLines.shift();
    this.#onLine(line);
  };
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `with exit code ${code}` : `by ${signal}`;
}
