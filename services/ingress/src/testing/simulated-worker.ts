import {
  WorkerBroker,
  type Attempt,
  type EngineState,
  type LogItem,
  type LossReason,
} from "@headrace/broker";
import type { ErrorBody, Usage } from "@headrace/contract";

export const MODEL = "acme/test-model";
export const USAGE: Usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
/** Share of the GPU that every completed job is said to have cost. */
export const GPU_MS = 500;

const TIMINGS = { dispatch_ms: 1, first_token_ms: 1, engine_queue_ms: 0, decode_ms: 1 };

/** A worker without an engine, on the real broker: the test says what each job comes to. */
export class SimulatedWorker {
  readonly #broker: WorkerBroker;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #intake: TestIntake;

  private constructor(broker: WorkerBroker, intake: TestIntake) {
    this.#broker = broker;
    this.#intake = intake;
    this.#running = broker.run(this.#stop.signal);
  }

  static async start(redisUrl: string): Promise<SimulatedWorker> {
    const intake = new TestIntake();
    const broker = await WorkerBroker.open(
      {
        redisUrl,
        name: "simulated",
        engine: () => intake.engine,
        modelNames: [MODEL],
        model: { version: "v1", maxModelLength: 4_096 },
        hasTokenIds: true,
        report: () => {},
      },
      intake,
      intake.onCancel,
    );
    return new SimulatedWorker(broker, intake);
  }

  /** Take the next job from the queue, waiting for one. */
  async next(): Promise<SimulatedRun> {
    const run = new SimulatedRun(this.#broker, await this.#intake.next());
    this.#broker.open(run);
    this.#intake.runs.set(run.attempt.job, run);
    return run;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#running, this.#broker.close()]);
  }
}

/** One attempt at a job, driven by the test. */
export class SimulatedRun {
  readonly attempt: Attempt;
  readonly gpuMs = 0;
  readonly #broker: WorkerBroker;
  readonly #lost = Promise.withResolvers<LossReason | "cancelled">();
  #items: LogItem[] = [];

  constructor(broker: WorkerBroker, attempt: Attempt) {
    this.#broker = broker;
    this.attempt = attempt;
  }

  /** Resolves when the job is cancelled or the attempt is lost. */
  get lost(): Promise<LossReason | "cancelled"> {
    return this.#lost.promise;
  }

  readonly take = (): LogItem[] => this.#items.splice(0);

  readonly onLost = (reason: LossReason): void => this.#lost.resolve(reason);

  readonly cancelled = (): void => this.#lost.resolve("cancelled");

  /** Write one chat delta with this text, at once; with token ids as the broker spells them. */
  say(content: string, ids?: string): void {
    const data = JSON.stringify([{ index: 0, delta: { content } }]);
    this.write({ type: "delta", data, ...(ids === undefined ? {} : { ids }) });
  }

  /** Write one entry, at once. */
  write(item: LogItem): void {
    this.#items.push(item);
    this.#broker.notify(this, true);
  }

  async complete(usage: Usage = USAGE): Promise<void> {
    await this.#broker.finish(this, {
      status: "completed",
      outcome: { usage, timings: TIMINGS, gpu_ms: GPU_MS },
      items: this.#items.splice(0),
    });
  }

  async fail(error: ErrorBody): Promise<void> {
    const items = this.#items.splice(0);
    await this.#broker.finish(this, { status: "failed", outcome: { error }, items });
  }

  /** Give the job back, as a worker does whose engine broke. */
  async release(): Promise<void> {
    await this.#broker.release(this, "engine_error", "engine_timeout");
  }
}

/** Slots that are free when the test asks for a job. */
class TestIntake {
  readonly runs = new Map<string, SimulatedRun>();
  /** How the worker says it finds its engine. */
  engine: EngineState = { kind: "vllm", version: "0.19.0", silentMs: 0, error: null };
  readonly #asked: PromiseWithResolvers<Attempt>[] = [];
  #onAsk: () => void = () => {};

  next(): Promise<Attempt> {
    const asked = Promise.withResolvers<Attempt>();
    this.#asked.push(asked);
    this.#onAsk();
    return asked.promise;
  }

  readonly whenFree = async (signal: AbortSignal): Promise<number> => {
    while (this.#asked.length === 0 && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onAsk = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    }
    return signal.aborted ? 0 : 1;
  };

  readonly countFree = (): number => this.#asked.length;

  readonly start = (attempt: Attempt): boolean => {
    this.#asked.shift()?.resolve(attempt);
    return true;
  };

  readonly onLockLost = (): void => {};

  readonly onCancel = (job: string): void => this.runs.get(job)?.cancelled();
}
