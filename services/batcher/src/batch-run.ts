import { objectOfFile, type BatchBroker, type KnownModel } from "@headrace/broker";
import {
  PlatformError,
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
    if (this.#held.status === "finalizing") return this.#close("completed", checkpoint, null);
    if (batch.at.in_progress_at === null) {
      if (this.#held.status === "cancelling") return this.#close("cancelled", BEGINNING, null);
      if (this.#now() >= batch.expiresAtMs) return this.#close("expired", BEGINNING, null);
    }
    const found = await this.#prepare();
    if (found === null) return "stopped";
    if (Array.isArray(found)) return this.#fail(found);
    try {
      return await this.#work(found, checkpoint);
    } finally {
      await found.input.close();
    }
  }

  async #work({ input, model }: Prepared, checkpoint: Checkpoint): Promise<RunEnd> {
    const { completed, failed } = checkpoint;
    await this.#insist(() =>
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
    switch (end) {
      case "stopped":
        return "stopped";
      case "done":
        await this.#insist(() => this.#held.write({ to: "finalizing" }));
        return this.#close("completed", work.tally, work);
      case "cancelled":
      case "expired":
        return this.#close(end, work.tally, work);
    }
  }

  /** Read and check the input. @returns what is wrong with it, or null when the process stops */
  async #prepare(): Promise<Prepared | BatchError[] | null> {
    const { batch } = this.#held;
    const { broker, objects, mostLines, scratchFolder } = this.#tools;
    const rules = { endpoint: batch.endpoint, mostLines };
    return this.#insist(async () => {
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
    await this.#insist(async () => {
      const { broker } = this.#tools;
      const { kind } = await broker.batches.finish(this.#held.claim, { status: "failed", errors });
      if (kind === "lost") this.#held.lose();
      await broker.ended.tell();
    });
    return "failed";
  }

  async #close(
    status: TerminalBatchStatus,
    tally: Checkpoint | LineWork["tally"],
    work: LineWork | null,
  ): Promise<RunEnd> {
    const { broker } = this.#tools;
    const restSize = work?.restSize ?? 0;
    const { completed, failed, usage } = tally;
    const total = completed + failed + restSize;
    const code = status === "expired" ? "batch_expired" : "batch_cancelled";
    const closing: Closing = {
      status,
      counts: { total, completed, failed: failed + restSize },
      usage,
      progress: this.#describe(tally, "assembly"),
      tally,
      segments: [...this.#held.claim.segments, ...(work?.segments ?? [])],
      rest: () => work?.rest(code) ?? none(),
      restSize,
    };
    const ended = await this.#insist(async () => {
      const model = work === null ? await this.#findModel() : work.model;
      await this.#held.write({ progress: closing.progress });
      const end = await closeBatch({ ...this.#tools, held: this.#held }, closing);
      await broker.ended.tell();
      if (model !== null) await broker.forgetDemand(model, this.#held.batch.id);
      return end;
    });
    return ended ?? "stopped";
  }

  /** @returns null before the input was read */
  async #findModel(): Promise<KnownModel | null> {
    const { model } = this.#held.batch;
    return model === null ? null : this.#tools.broker.findModel(model);
  }

  #describe(tally: LineWork["tally"], bottleneck: BatchProgress["bottleneck"]): BatchProgress {
    const { gpuHourPrice } = this.#tools;
    const { waitingFor } = this.#trouble;
    return toProgress({ tally, rates: null, linesLeft: 0, bottleneck, waitingFor, gpuHourPrice });
  }

  /** Do something until it is done, however long that has to wait. @returns null when the process stops */
  async #insist<Result>(work: () => Promise<Result>): Promise<Result | null> {
    while (!this.#signal.aborted) {
      const done = await this.#trouble.attempt(
        async () => ({ result: await work() }),
        this.#signal,
      );
      if (done !== null) return done.result;
      const { checkpoint } = this.#held.claim;
      const tally = readCheckpoint(checkpoint) ?? BEGINNING;
      await this.#held
        .write({ progress: this.#describe(tally, "storage") })
        .catch(unlessUnavailable);
    }
    return null;
  }
}

/** A batch's input, and the model that it is for. */
interface Prepared {
  readonly input: Input;
  readonly model: KnownModel;
}

const GONE = "the input file's bytes are gone from storage; upload it again";

async function findModel(broker: BatchBroker, input: Input): Promise<Prepared | BatchError[]> {
  const close = async (error: unknown): Promise<never> => {
    await input.close();
    throw error;
  };
  const model = await broker.findModel(input.model).catch(close);
  if (model !== null) return { input, model };
  await input.close();
  const message = `body.model: no worker ever served the model ${JSON.stringify(input.model)}`;
  return [{ code: "model_not_found", line: 1, message, param: "body.model" }];
}

/** What cannot be told now is told with the next try. */
function unlessUnavailable(error: unknown): void {
  if (!(error instanceof PlatformError)) throw error;
}

async function* none(): AsyncGenerator<Uint8Array, void> {}
