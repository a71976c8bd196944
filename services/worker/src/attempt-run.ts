import type { Attempt, LogItem, LossReason, Source, WorkerBroker } from "@headrace/broker";
import type { ChoiceDelta, Endpoint, Outcome, Timings } from "@headrace/contract";
import type { Engine, EngineOutcome, EngineReply } from "@headrace/engine";

import { carriesOutput, OutputBuffer } from "./output-buffer.ts";
import { AttemptLost } from "./verdict.ts";

/** What an attempt works with. */
export interface AttemptTools {
  readonly engine: Engine;
  readonly broker: WorkerBroker;
  /** The engine accepted the job: it has room. */
  readonly onAccepted: () => void;
}

/** One attempt in one slot: drives the engine, and hands its output to the broker. */
export class AttemptRun implements Source {
  readonly attempt: Attempt;
  readonly #tools: AttemptTools;
  readonly #output = new OutputBuffer();
  readonly #controller = new AbortController();
  readonly #claimedAt = performance.now();
  #hasOutput = false;

  constructor(attempt: Attempt, tools: AttemptTools) {
    this.attempt = attempt;
    this.#tools = tools;
  }

  /** Whether readers may have output of this attempt. */
  get hasShown(): boolean {
    return this.#hasOutput;
  }

  /** Hand over what is to be written, oldest first. */
  take(limit?: number): LogItem[] {
    return this.#output.take(limit);
  }

  onLost(reason: LossReason): void {
    this.stop(new AttemptLost(reason));
  }

  /** Stop the engine; `generate` rejects with the reason. */
  stop(reason: Error): void {
    this.#controller.abort(reason);
  }

  /**
   * Generate to the end.
   *
   * @returns how it went; what output is still unwritten is left in `take()`
   * @throws EngineError, or the reason given to `stop`
   */
  async generate(): Promise<Outcome> {
    this.#tools.broker.open(this);
    const { endpoint, request } = this.attempt.spec;
    return isGeneration(endpoint)
      ? this.#stream(endpoint, request)
      : this.#embed(endpoint, request);
  }

  async #stream(
    endpoint: "/v1/chat/completions" | "/v1/completions",
    body: Readonly<Record<string, unknown>>,
  ): Promise<Outcome> {
    const outcome = await this.#tools.engine.stream(
      { endpoint, body, requestId: this.attempt.job },
      {
        onAccepted: this.#tools.onAccepted,
        onChoices: (choices) => this.#takeChoices(choices),
      },
      this.#controller.signal,
    );
    return {
      usage: outcome.usage,
      timings: this.#streamTimings(outcome),
      ...(outcome.id === null ? {} : { engine_id: outcome.id }),
    };
  }

  async #embed(
    endpoint: "/v1/embeddings",
    body: Readonly<Record<string, unknown>>,
  ): Promise<Outcome> {
    const reply: EngineReply = await this.#tools.engine.call(
      { endpoint, body, requestId: this.attempt.job },
      this.#controller.signal,
    );
    this.#tools.onAccepted();
    this.#output.addVectors(reply.data);
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

  #takeChoices(choices: readonly ChoiceDelta[]): void {
    this.#output.add(choices);
    if (this.#hasOutput) return this.#tools.broker.notify(this, false);
    // Who speaks is said with the first token, not before it: it would count as one.
    if (!carriesOutput(choices)) return;
    this.#hasOutput = true;
    this.#tools.broker.notify(this, true);
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

function isGeneration(endpoint: Endpoint): endpoint is "/v1/chat/completions" | "/v1/completions" {
  return endpoint !== "/v1/embeddings";
}

/** An engine's clocks may disagree by a little; no wait is shorter than none. */
function atLeastZero(ms: number | null): number | null {
  return ms === null ? null : Math.max(ms, 0);
}
