import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { test as plainTest } from "vitest";

import { TestApi } from "./test-api.ts";

const PROGRAM = fileURLToPath(new URL("../main.ts", import.meta.url));
const API_KEY = "hr_test_0123456789abcdef";
/** Says at its end how much memory it ever had, kB. */
const TELLING = `process.on("exit", () => console.error("peak", process.resourceUsage().maxRSS));
process.argv.splice(1, 0, "headrace"); await import(${JSON.stringify(PROGRAM)});`;

/** `headrace batch` as a process, as a user runs it. */
export class BatchProcess {
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  out = "";
  err = "";

  constructor(args: readonly string[]) {
    const program = ["--input-type=module", "--eval", TELLING, "--", "batch", ...args];
    this.#process = spawn(process.execPath, program, { stdio: "pipe" });
    this.#ended = once(this.#process, "close");
    this.#process.stdout?.on("data", (chunk: Buffer) => (this.out += chunk.toString()));
    this.#process.stderr?.on("data", (chunk: Buffer) => (this.err += chunk.toString()));
  }

  /** Its exit code; null when a signal ended it. */
  async code(): Promise<unknown> {
    const [code] = await this.#ended;
    return code;
  }

  /** The most memory that it ever had, bytes. */
  get peakBytes(): number {
    return Number(/^peak (\d+)$/m.exec(this.err)?.[1]) * 1_024;
  }

  /** Write to its standard input, which stays open. */
  type(text: string): void {
    this.#process.stdin?.write(text);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }
}

/** A vitest `test` with a folder, an API that plays its part, and `headrace batch` against it. */
export const batchTest = plainTest
  .extend("folder", async ({}, { onCleanup }) => {
    const folder = mkdtempSync(join(tmpdir(), "headrace-batch-"));
    onCleanup(() => rmSync(folder, { recursive: true, force: true }));
    mkdirSync(join(folder, ".data"));
    writeFileSync(join(folder, ".data/api-key"), `${API_KEY}\n`);
    return folder;
  })
  .extend("api", async ({}, { onCleanup }) => {
    const { api, stop } = await TestApi.start();
    onCleanup(stop);
    return api;
  })
  .extend("where", ({ folder, api }) => ["--url", api.url, "--data-dir", join(folder, ".data")])
  .extend("start", async ({ where }, { onCleanup }) => {
    const started: BatchProcess[] = [];
    onCleanup(async () => {
      for (const command of started) command.signal("SIGKILL");
      await Promise.all(started.map((command) => command.code()));
    });
    return (...args: string[]): BatchProcess => {
      const command = new BatchProcess([...args, ...where]);
      started.push(command);
      return command;
    };
  });
