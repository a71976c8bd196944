import { WorkerBroker, type Attempt, type LogItem, type LossReason } from "@headrace/broker";
import type { ErrorBody, Usage } from "@headrace/contract";
import { z } from "zod";

/** The model that every worker under test serves. */
export const MODEL = "tests/model:8b";
const USAGE: Usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
/** Share of the GPU that every answer is said to have cost. */
const GPU_MS = 500;

const SLOTS = 64;

const requestSchema = z.looseObject({
  messages: z.array(z.looseObject({ content: z.string() })),
});

/** What a job's engine is asked. */
export interface EngineCall {
  readonly attempt: Attempt;
  /** Text of its last message. */
  readonly prompt: string;
  /** How often the same prompt was asked before. */
  readonly nth: number;
  /** Resolves when the job is cancelled, or another worker's. */
  readonly whenLost: Promise<unknown>;
}

/** What it comes to: an answer's text, an error, or nothing, when the job was cancelled meanwhile. */
export type EngineAnswer = string | ErrorBody | null;

/** A worker without an engine, on the real broker: the test says what each prompt comes to. */
export class TestWorker {
  /** Prompts in the order in which they were asked. */
  readonly calls: EngineCall[] = [];
  /** What it answers. */
  answer: (call: EngineCall) => EngineAnswer | Promise<EngineAnswer> = ({ prompt }) =>
    `Re: ${prompt}`;
  readonly #counts = new Map<string, number>();
  readonly #runs = new Map<string, TestRun>();
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #whenIdle = new EventTarget();
  #broker: WorkerBroker | null = null;
  #intake: Promise<void> = Promise.resolve();

  private constructor() {}

  static async start(redisUrl: string): Promise<TestWorker> {
    const worker = new TestWorker();
    const broker = await WorkerBroker.open(
      {
        redisUrl,
        name: "test",
        engine: () => ({ kind: "test", version: "1", silentMs: 0, error: null }),
        modelNames: [MODEL],
        model: { version: "v1", maxModelLength: 4_096 },
        hasTokenIds: true,
        report: () => {},
      },
      {
        whenFree: (signal) => worker.#whenFree(signal),
        countFree: () => SLOTS - worker.#running.size,
        start: (attempt) => worker.#start(attempt),
        onLockLost: () => {},
      },
      (job) => worker.#runs.get(job)?.lose(),
    );
    worker.#broker = broker;
    worker.#intake = broker.run(worker.#stop.signal);
    return worker;
  }

  /** How often each prompt was asked. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** Take nothing more; what is under way ends. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#whenIdle.dispatchEvent(new Event("idle"));
    for (const run of this.#runs.values()) run.lose();
    await Promise.all([this.#intake, ...this.#running]);
    await this.#broker?.close();
  }

  async #whenFree(signal: AbortSignal): Promise<number> {
    while (this.#running.size >= SLOTS && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#whenIdle.addEventListener("idle", () => resolve(), { once: true });
      await promise;
    }
    return signal.aborted ? 0 : SLOTS - this.#running.size;
  }

  #start(attempt: Attempt): boolean {
    const running = this.#run(attempt).finally(() => {
      this.#running.delete(running);
      this.#whenIdle.dispatchEvent(new Event("idle"));
    });
    this.#running.add(running);
    return true;
  }

  async #run(attempt: Attempt): Promise<void> {
    const broker = this.#broker;
    if (broker === null) throw new Error("the worker is not open");
    const run = new TestRun(attempt);
    this.#runs.set(attempt.job, run);
    broker.open(run);
    const prompt = requestSchema.parse(attempt.spec.request).messages.at(-1)?.content ?? "";
    const nth = this.#counts.get(prompt) ?? 0;
    this.#counts.set(prompt, nth + 1);
    const call = { attempt, prompt, nth, whenLost: run.whenLost };
    this.calls.push(call);
    const answer = await this.answer(call);
    this.#runs.delete(attempt.job);
    await broker.finish(run, toEnding(answer));
  }
}

function toEnding(answer: EngineAnswer): Parameters<WorkerBroker["finish"]>[1] {
  if (typeof answer === "object") {
    return { status: "failed", outcome: answer === null ? {} : { error: answer }, items: [] };
  }
  const data = JSON.stringify([{ index: 0, delta: { content: answer }, finish_reason: "stop" }]);
  const outcome = { usage: USAGE, gpu_ms: GPU_MS };
  return { status: "completed", outcome, items: [{ type: "delta", data }] };
}

/** One attempt, which says nothing before its end. */
class TestRun {
  readonly attempt: Attempt;
  readonly gpuMs = 0;
  readonly #lost = Promise.withResolvers<LossReason | "cancelled">();

  constructor(attempt: Attempt) {
    this.attempt = attempt;
  }

  get whenLost(): Promise<unknown> {
    return this.#lost.promise;
  }

  readonly take = (): LogItem[] => [];

  readonly onLost = (reason: LossReason): void => this.#lost.resolve(reason);

  readonly lose = (): void => this.#lost.resolve("cancelled");
}
