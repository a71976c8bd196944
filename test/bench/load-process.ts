import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { z } from "zod";

import type { Load } from "./load.ts";

/** Longest that a single task may take, ms: the longest is to submit 100,000 jobs. */
const TASK_MS = 180_000;

const replySchema = z.union([
  z.strictObject({ answer: z.unknown() }),
  z.strictObject({ error: z.string() }),
]);

/** A process that carries out loads, one at a time. It stays warm between them. */
export class LoadProcess {
  readonly #process: ChildProcess;

  constructor() {
    const program = fileURLToPath(new URL("load-main.ts", import.meta.url));
    this.#process = fork(program, { env: {}, stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Have a load carried out. @throws Error when it fails, or takes over three minutes */
  async run<Task, Answer>(load: Load<Task, Answer>, task: Task): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onExit = (): void => reject(new Error(`${load.name}: its process ended`));
    const timer = setTimeout(
      () => reject(new Error(`${load.name}: no answer within ${TASK_MS / 1_000} s`)),
      TASK_MS,
    );
    this.#process.once("message", resolve);
    this.#process.once("exit", onExit);
    try {
      this.#process.send({ load: load.name, task: load.accept(task) });
      const reply = replySchema.parse(await promise);
      if ("error" in reply) throw new Error(`${load.name}: ${reply.error}`);
      return load.answer.parse(reply.answer);
    } finally {
      clearTimeout(timer);
      this.#process.off("message", resolve);
      this.#process.off("exit", onExit);
    }
  }

  /** End it, whatever it is doing. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exit = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exit;
  }
}
