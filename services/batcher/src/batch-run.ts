import { objectOfFile, type BatchBroker, type KnownModel } from "@headrace/broker";
import {
  PlatformError,
  type BatchBottleneck,
  type BatchError,
  type BatchProgress,
  type TerminalBatchStatus,
} from "@headrace/contract";

import { BEGINNING, readCheckpoint, type Checkpoint } from "./checkpoint.ts";
import type { HeldBatch } from "./held-batch.ts";
import { Input } from "./input/input.ts";
import { LineWork } from "./line-work.ts";
import { toProgress } from "./progress.ts";
import { closeBatch, type Closing } from "./results/assembly.ts";
import type { Tally } from "./results/result-buffer.ts";
import type { BatcherTools } from "./tools.ts";
import { Trouble } from "./trouble.ts";

/** How a run of a batch ended: `stopped` = to be gone on with by whoever claims it next. */
export type RunEnd = TerminalBatchStatus | "stopped";

/** Runs a batch that this process has, from where it stands to its end. */
export class BatchRun {
  readonly #tools: BatcherTools;
  readonly #held: HeldBatch;
  readonly #now: () => number;
  readonly #signal: AbortSignal;
  readonly #trouble: Trouble;
  /** What the batch has come to, as far as is known here. */
  #tally: Tally = BEGINNING;
  /** Null before the input was read. */
  #model: string | null;

  /** @param now the present by Redis' clock, ms */
  constructor(
    tools: BatcherTools,
    held: HeldBatch,
    { now, signal }: { readonly now: () => number; readonly signal: AbortSignal },
  ) {
    this.#tools = tools;
    this.#held = held;
    this.#now = now;
    this.#signal = signal;
    this.#model = held.batch.model;
    this.#trouble = new Trouble(tools.events.troubled);
  }

  /** Run it until it has ended, or the signal is aborted. @throws BatchLost */
  async run(): Promise<RunEnd> {
    const { batch, checkpoint: text } = this.#held.claim;
    const checkpoint = readCheckpoint(text);
    if (checkpoint === null) {
      throw new RangeError(
        `${batch.id} was begun by a later version of Headrace, which must go on`,
      );
    }
    this.#tally = checkpoint;
    if (this.#held.status === "finalizing") return this.#close("completed", null);
    const isBegun = batch.at.in_progress_at !== null;
    if (this.#held.status === "cancelling" && !isBegun) return this.#close("cancelled", null);
    const found = await this.#prepare(isBegun);
    if (found === null) {
      if (this.#signal.aborted) return "stopped";
      return this.#close(this.#held.status === "cancelling" ? "cancelled" : "expired", null);
    }
    if (Array.isArray(found)) return this.#fail(found);
    try {
      return await this.#work(found, checkpoint);
    } finally {
      await found.input.close();
    }
  }

  async #work({ input, model }: Prepared, checkpoint: Checkpoint): Promise<RunEnd> {
    const { completed, failed } = checkpoint;
    this.#model = input.model;
    await this.#insist("validation", never, () =>
      this.#held.write({
        ...(this.#held.status === "validating" ? { to: "in_progress" as const } : {}),
        model: input.model,
        counts: { total: input.size, completed, failed },
      }),
    );
    const work = new LineWork(
      this.#tools,
      { held: this.#held, input, model, checkpoint },
      this.#now,
    );
    const end = await work.run(this.#signal);
    this.#tally = work.tally;
    switch (end) {
      case "stopped":
        return "stopped";
      case "done":
        await this.#insist("assembly", never, () => this.#held.write({ to: "finalizing" }));
        return this.#close("completed", work);
      case "cancelled":
      case "expired":
        return this.#close(end, work);
    }
  }

  /**
   * Read and check the input.
   *
   * @returns what is wrong with it; null when the process stops, or when a batch that nothing was done
   *   of is to end before its input can be read
   */
  async #prepare(isBegun: boolean): Promise<Prepared | BatchError[] | null> {
    const { batch } = this.#held;
    const { broker, objects, mostLines, scratchFolder } = this.#tools;
    const rules = { endpoint: batch.endpoint, mostLines };
    const isToEnd = (): boolean =>
      !isBegun && (this.#held.status === "cancelling" || this.#now() >= batch.expiresAtMs);
    return this.#insist("validation", isToEnd, async () => {
      try {
        const object = objectOfFile(batch.inputFile);
        const { body } = await objects.read(object, { signal: this.#signal });
        const input = await Input.read(body, rules, scratchFolder);
        return Array.isArray(input) ? input : await findModel(broker, input);
      } catch (error) {
        if (!(error instanceof PlatformError) || error.code !== "object_not_found") throw error;
        return [{ code: "file_not_found", line: null, message: GONE, param: "input_file_id" }];
      }
    });
  }

  async #fail(errors: readonly BatchError[]): Promise<RunEnd> {
    const ending = await this.#insist("validation", never, async () =>
      this.#tools.broker.batches.finish(this.#held.claim, { status: "failed", errors }),
    );
    if (ending === null) return "stopped";
    if (ending.kind === "lost") this.#held.lose();
    // Cancelled meanwhile: that is what its owner asked for last.
    if (ending.kind === "refused") return this.#close("cancelled", null);
    await this.#tell();
    return "failed";
  }

  /** End it, with what is done in its files. */
  async #close(status: TerminalBatchStatus, work: LineWork | null): Promise<RunEnd> {
    const restSize = work?.restSize ?? 0;
    const { completed, failed, usage } = this.#tally;
    const total = completed + failed + restSize;
    const code = status === "expired" ? "batch_expired" : "batch_cancelled";
    const closing: Closing = {
      status,
      counts: { total, completed, failed: failed + restSize },
      usage,
      progress: { ...this.#describe(null), waiting_for: null },
      tally: this.#tally,
      segments: [...this.#held.claim.segments, ...(work?.segments ?? [])],
      rest: () => work?.rest(code) ?? none(),
      restSize,
    };
    const ended = await this.#insist("assembly", never, () =>
      closeBatch({ ...this.#tools, held: this.#held, signal: this.#signal }, closing),
    );
    if (ended === null) return "stopped";
    await this.#tell();
    return ended;
  }

  /** Have its end told of. What cannot be told now is told by the sweep. */
  async #tell(): Promise<void> {
    const { broker, events } = this.#tools;
    try {
      await broker.ended.tell();
      const model = await this.#findModel();
      if (model !== null) await broker.forgetDemand(model, this.#held.batch.id);
    } catch (error) {
      events.troubled(new Error("telling of a batch's end is put off", { cause: error }));
    }
  }

  /** @returns null before the input was read */
  async #findModel(): Promise<KnownModel | null> {
    return this.#model === null ? null : this.#tools.broker.findModel(this.#model);
  }

  #describe(bottleneck: BatchBottleneck | null): BatchProgress {
    return toProgress({
      tally: this.#tally,
      rates: null,
      linesLeft: 0,
      bottleneck,
      waitingFor: this.#trouble.waitingFor,
      gpuHourPrice: this.#tools.gpuHourPrice,
    });
  }

  /**
   * Do something until it is done, however long that has to wait, and say what is waited for.
   *
   * @param isPointless asked after each try that failed
   * @returns null when the process stops, or it has become pointless
   */
  async #insist<Result>(
    bottleneck: BatchBottleneck,
    isPointless: () => boolean,
    work: () => Promise<Result>,
  ): Promise<Result | null> {
    while (!this.#signal.aborted) {
      const done = await this.#trouble.attempt(async () => {
        await this.#held.write({ progress: this.#describe(bottleneck) });
        return { result: await work() };
      }, this.#signal);
      if (done !== null) return done.result;
      if (isPointless()) return null;
    }
    return null;
  }
}

/** A batch's input, and the model that it is for. */
interface Prepared {
  readonly input: Input;
  readonly model: KnownModel;
}

const LONGEST_QUOTE = 128;
const GONE = "the input file's bytes are gone from storage; upload it again";

async function findModel(broker: BatchBroker, input: Input): Promise<Prepared | BatchError[]> {
  const close = async (error: unknown): Promise<never> => {
    await input.close();
    throw error;
  };
  const model = await broker.findModel(input.model).catch(close);
  if (model !== null) return { input, model };
  await input.close();
  const message = `body.model: no worker ever served the model "${input.model.slice(0, LONGEST_QUOTE)}"`;
  return [{ code: "model_not_found", line: 1, message, param: "body.model" }];
}

function never(): boolean {
  return false;
}

async function* none(): AsyncGenerator<Uint8Array, void> {}
