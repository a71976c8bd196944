import type { Attempt, LogItem, LossReason, Source, WorkerBroker } from "@headrace/broker";
import type { ChoiceDelta, Endpoint, Outcome, Timings } from "@headrace/contract";
import {
  EngineError,
  type Engine,
  type EngineOutcome,
  type EngineReply,
  type EngineTraits,
} from "@headrace/engine";

import { isContinuable } from "./continuable.ts";
import { Continuation } from "./continuation.ts";
import type { GpuClock } from "./gpu-clock.ts";
import { carriesOutput, OutputBuffer } from "./output-buffer.ts";
import { CannotContinue, findSeam, type Seam } from "./seam.ts";
import { AttemptLost, isBeforeWork } from "./verdict.ts";

/** What is measured finer than this is noise. */
const MICROSECONDS_PER_MS = 1_000;

/** vLLM's `priority` of each class, for one that runs with `--scheduling-policy priority`. */
const ENGINE_PRIORITIES = { interactive: 0, standard: 1, batch: 2 } as const;

/** What an attempt works with. */
export interface AttemptTools {
  readonly engine: Engine;
  readonly traits: EngineTraits;
  readonly broker: WorkerBroker;
  readonly gpu: GpuClock;
  /** The engine accepted the job: it has room. */
  readonly onAccepted: () => void;
  /** The engine has read the prompt: the first output is there. */
  readonly onBegun: () => void;
  /** The engine has sent more. */
  readonly onMore: () => void;
}

/** One attempt in one slot: drives the engine, and hands its output to the broker. */
export class AttemptRun implements Source {
  readonly attempt: Attempt;
  readonly #tools: AttemptTools;
  readonly #output = new OutputBuffer();
  readonly #controller = new AbortController();
  readonly #claimedAt = performance.now();
  #hasOutput = false;
  /** Why the first choice ended. */
  #finishReason: string | null = null;
  #gpuMs = 0;

  constructor(attempt: Attempt, tools: AttemptTools) {
    this.attempt = attempt;
    this.#tools = tools;
  }

  /** The attempt's share of the GPU's time, ms, once `generate` has settled. */
  get gpuMs(): number {
    return this.#gpuMs;
  }

  /** Whether readers may have output of the job. */
  get hasShown(): boolean {
    return this.attempt.from > 0 || this.#hasOutput;
  }

  /** Whether another attempt can go on from what readers have. */
  get canContinue(): boolean {
    return this.attempt.from > 0 || this.#output.keepsIds;
  }

  /**
   * Hand over what is to be written, oldest first. Nothing is until it is output: who speaks, or ids
   * of a text that the engine holds back, would count as shown to readers, who have seen nothing.
   */
  take(limit?: number): LogItem[] {
    return this.hasShown ? this.#output.take(limit) : [];
  }

  onLost(reason: LossReason): void {
    this.stop(new AttemptLost(reason));
  }

  /** Aborted when the attempt is to stop. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Stop the engine; `generate` rejects with the reason. */
  stop(reason: Error): void {
    this.#controller.abort(reason);
  }

  /**
   * Generate to the end.
   *
   * @returns how it went; what output is still unwritten is left in `take()`
   * @throws EngineError, CannotContinue, or the reason given to `stop`
   */
  async generate(): Promise<Outcome> {
    this.#tools.broker.open(this);
    const stop = this.#tools.gpu.start();
    try {
      return await this.#askEngine();
    } finally {
      this.#gpuMs = Math.round(stop() * MICROSECONDS_PER_MS) / MICROSECONDS_PER_MS;
    }
  }

  async #askEngine(): Promise<Outcome> {
    const { endpoint, request } = this.attempt.spec;
    if (!isGeneration(endpoint)) return this.#embed(endpoint, request);
    const outcome = await (this.attempt.from > 0 ? this.#goOn() : this.#stream(endpoint, request));
    return this.#finishReason === null
      ? outcome
      : { ...outcome, finish_reason: this.#finishReason };
  }

  async #stream(
    endpoint: "/v1/chat/completions" | "/v1/completions",
    body: Readonly<Record<string, unknown>>,
  ): Promise<Outcome> {
    const wantsTokenIds = this.#tools.traits.hasTokenIds && isContinuable(this.attempt.spec);
    const outcome = await this.#tools.engine.stream(
      { endpoint, body, ...this.#envelope(), wantsTokenIds },
      {
        onAccepted: this.#tools.onAccepted,
        onPromptIds: (prompt) => this.#output.keepIds({ prompt }),
        onChoices: (choices, ids) => this.#takeChoices(choices, ids),
      },
      this.#controller.signal,
    );
    return this.#toOutcome(outcome);
  }

  /** Go on from where an earlier attempt broke off. */
  async #goOn(): Promise<Outcome> {
    const { spec } = this.attempt;
    const seam = await this.#findSeam();
    const continuation = new Continuation(spec, seam, this.#modelLength());
    this.#finishReason = seam.finishReason;
    this.#output.keepIds({ position: seam.ids.length });
    this.#takeChoices(continuation.begin(), []);
    if (continuation.request === null) return { usage: continuation.usage(null) };
    try {
      const outcome = await this.#streamRest(continuation, continuation.request);
      return { ...this.#toOutcome(outcome), usage: continuation.usage(outcome.usage) };
    } catch (error) {
      if (error instanceof TextEnded) return { usage: continuation.usage(null) };
      throw asRefusal(error);
    }
  }

  /** @throws CannotContinue */
  async #findSeam(): Promise<Seam> {
    const { engine, broker } = this.#tools;
    const { request } = this.attempt.spec;
    const written = await broker.readWritten(this.attempt);
    if (written === null) throw new CannotContinue("token ids are missing");
    try {
      return await findSeam(
        written,
        (ids) => engine.detokenize(request.model, ids, this.#controller.signal),
        request,
      );
    } catch (error) {
      throw this.#asUnspelled(error);
    }
  }

  /**
   * What keeps an engine from spelling ids (it lacks the page, a gateway hides it, the output is too
   * long for it) would keep it from that again, so the job may start over. One that must not can
   * only try again.
   */
  #asUnspelled(error: unknown): unknown {
    if (!(error instanceof EngineError) || isBeforeWork(error)) return error;
    if (this.attempt.isFragile && error.retryable) return error;
    return new CannotContinue(error.logMessage);
  }

  async #streamRest(
    continuation: Continuation,
    body: Readonly<Record<string, unknown>>,
  ): Promise<EngineOutcome> {
    return this.#tools.engine.stream(
      { endpoint: "/v1/completions", body, ...this.#envelope(), wantsTokenIds: true },
      {
        onAccepted: this.#tools.onAccepted,
        onChoices: (choices, ids) => {
          this.#takeChoices(continuation.take(choices, ids), ids);
          if (continuation.isOver) throw new TextEnded();
        },
      },
      this.#controller.signal,
    );
  }

  /** Only vLLM knows what a priority is; others may refuse what they do not know. */
  #envelope(): { readonly requestId: string; readonly priority: number } {
    const isVllm = this.#tools.traits.kind === "vllm";
    const priority = isVllm ? ENGINE_PRIORITIES[this.attempt.spec.priority] : 0;
    return { requestId: this.attempt.job, priority };
  }

  #modelLength(): number | null {
    const { models } = this.#tools.traits;
    const { model: name } = this.attempt.spec.request;
    return (models.find(({ id }) => id === name) ?? models[0])?.maxModelLength ?? null;
  }

  async #embed(
    endpoint: "/v1/embeddings",
    body: Readonly<Record<string, unknown>>,
  ): Promise<Outcome> {
    const reply: EngineReply = await this.#tools.engine.call(
      { endpoint, body, ...this.#envelope() },
      this.#controller.signal,
    );
    this.#tools.onAccepted();
    this.#output.addVectors(reply.data);
    this.#hasOutput = true;
    const { requestSentAt, headersAt } = reply.times;
    return {
      usage: reply.usage ?? null,
      timings: {
        dispatch_ms: requestSentAt - this.#claimedAt,
        first_token_ms: headersAt - requestSentAt,
        engine_queue_ms: null,
        decode_ms: null,
      },
    };
  }

  #takeChoices(choices: readonly ChoiceDelta[], ids: readonly number[]): void {
    this.#output.add(choices, ids);
    this.#finishReason ??= choices.find(({ index }) => index === 0)?.finish_reason || null;
    if (this.#hasOutput) {
      this.#tools.onMore();
      return this.#tools.broker.notify(this, false);
    }
    if (!carriesOutput(choices)) return;
    this.#hasOutput = true;
    this.#tools.onBegun();
    this.#tools.broker.notify(this, true);
  }

  #toOutcome(outcome: EngineOutcome): Outcome {
    return {
      usage: outcome.usage,
      timings: this.#streamTimings(outcome),
      ...(outcome.id === null ? {} : { engine_id: outcome.id }),
    };
  }

  #streamTimings({ times, metrics }: EngineOutcome): Timings {
    return {
      dispatch_ms: times.requestSentAt - this.#claimedAt,
      first_token_ms: times.firstTokenAt - times.requestSentAt,
      engine_queue_ms: atLeastZero(metrics?.queue_time_ms ?? null),
      decode_ms: times.lastTokenAt - times.firstTokenAt,
    };
  }
}

/** A stop string has ended the text, and the engine is to say no more: not a failure. */
class TextEnded extends Error {}

/** What the engine rejects of a continuation is not the user's request, so the job may start over. */
function asRefusal(error: unknown): unknown {
  const isRejected = error instanceof EngineError && error.code === "engine_rejected";
  return isRejected ? new CannotContinue(error.logMessage) : error;
}

function isGeneration(endpoint: Endpoint): endpoint is "/v1/chat/completions" | "/v1/completions" {
  return endpoint !== "/v1/embeddings";
}

/** An engine's clocks may disagree by a little; no wait is shorter than none. */
function atLeastZero(ms: number | null): number | null {
  return ms === null ? null : Math.max(ms, 0);
}
