import type { ServerResponse } from "node:http";
import { Choice, type ChoiceListener } from "./choice.ts";
import type { Dialect } from "./dialect.ts";
import type { Engine } from "./engine.ts";
import type { FaultPlan } from "./faults.ts";
import type { GenerationRequest } from "./generation-request.ts";
import type { Sequence } from "./sequence.ts";

/** What a generation works with. */
export interface GenerationParts {
  readonly engine: Engine;
  readonly dialect: Dialect;
  readonly request: GenerationRequest;
  readonly faults: FaultPlan;
  readonly response: ServerResponse;
  /** Whether responses carry the `metrics` object. */
  readonly withMetrics: boolean;
}

/**
 * Answers one chat or completion call, streaming or not, from its sequences' tokens.
 *
 * A streaming client gets one write per token. While it does not read, tokens gather and leave
 * together once it does, so that a slow reader costs its text and no more. A client that goes away
 * aborts its sequences at once.
 */
export class Generation implements ChoiceListener {
  readonly #parts: GenerationParts;
  readonly #choices: readonly Choice[];
  #sequences: readonly Sequence[] = [];
  /** Choices whose first news are out. */
  readonly #opened = new Set<Choice>();
  #ended = 0;
  #tokens = 0;
  #sentGarbage = false;

  constructor(parts: GenerationParts) {
    this.#parts = parts;
    const { prompts, n } = parts.request;
    this.#choices = prompts.flatMap((promptIds, prompt) =>
      Array.from(
        { length: n },
        (_, choice) => new Choice({ index: prompt * n + choice, promptIds }, parts.request, this),
      ),
    );
  }

  /** Queue the sequences of a call that arrived at `arrivedAtMs`, and answer as they go. */
  start(arrivedAtMs: number): void {
    const { response, request } = this.#parts;
    response.on("close", () => this.#abort());
    if (request.stream) {
      response.writeHead(200, STREAM_HEADERS);
      response.flushHeaders();
      response.on("drain", () => this.#catchUp());
    }
    this.#sequences = this.#choices.map((choice) => this.#submit(choice, arrivedAtMs));
  }

  /** Pass a choice's news on, or let them gather while the client does not read. */
  advanced(choice: Choice): void {
    this.#tokens += 1;
    if (this.#cuts(choice) || !this.#parts.request.stream) return;
    if (!this.#parts.response.writableNeedDrain) this.#parts.response.write(this.#chunk(choice));
    this.#spoil();
  }

  /** Pass a choice's last news on, and end the response after the last choice. */
  ended(choice: Choice): void {
    this.#tokens += 1;
    if (this.#cuts(choice)) return;
    this.#ended += 1;
    const isLast = this.#ended === this.#choices.length;
    if (this.#parts.request.stream) this.#endStreamed(choice, isLast);
    else if (isLast) this.#endWhole();
  }

  #submit(choice: Choice, arrivedAtMs: number): Sequence {
    const { engine, request, faults } = this.#parts;
    return engine.submit(
      {
        promptIds: choice.promptIds,
        seed: request.seed + (choice.index % request.n),
        maxTokens: request.maxTokens[Math.floor(choice.index / request.n)] ?? 1,
        minTokens: request.stopRules.minTokens,
        ignoreEos: request.ignoreEos,
        stopTokenIds: request.stopTokenIds,
        priority: request.priority,
        sink: choice,
        script: choice.script ?? undefined,
        stall: faults.stall,
        slowFactor: faults.slowFactor,
      },
      arrivedAtMs,
    );
  }

  #abort(): void {
    if (this.#parts.faults.ignoresAbort === true) return;
    for (const sequence of this.#sequences) this.#parts.engine.abort(sequence);
  }

  #chunk(choice: Choice): string {
    const { dialect } = this.#parts;
    const isFirst = !this.#opened.has(choice);
    const opening = isFirst ? dialect.opening(choice.index, choice.promptIds) : "";
    if (isFirst) this.#opened.add(choice);
    return opening + dialect.chunk(choice, choice.takeNews(), isFirst);
  }

  #catchUp(): void {
    const waiting = this.#choices.filter((choice) => choice.hasNews && choice.end === null);
    for (const choice of waiting) this.#parts.response.write(this.#chunk(choice));
  }

  #endStreamed(choice: Choice, isLast: boolean): void {
    const { response, dialect, request } = this.#parts;
    const chunk = this.#chunk(choice);
    if (!isLast) {
      response.write(chunk);
      return;
    }
    const usage = request.includeUsage ? dialect.usageChunk(this.#usage(), this.#metrics()) : "";
    response.end(`${chunk}${usage}data: [DONE]\n\n`);
  }

  #endWhole(): void {
    const { response, dialect, faults } = this.#parts;
    if (faults.garbage !== undefined) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(GARBAGE[faults.garbage.form]);
      return;
    }
    const body = JSON.stringify(dialect.body(this.#choices, this.#usage(), this.#metrics()));
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    });
    response.end(body);
  }

  /** Break the connection where the fault says so; what was written before still arrives. */
  #cuts(choice: Choice): boolean {
    const { faults, response, request } = this.#parts;
    const { cutAfterTokens } = faults;
    if (cutAfterTokens === undefined || this.#tokens < cutAfterTokens) return false;
    this.#abort();
    const cut = (): void => response.socket?.destroySoon();
    if (request.stream && cutAfterTokens > 0) response.write(this.#chunk(choice), cut);
    else cut();
    return true;
  }

  /** Send the garbage of a fault, once, after the token it names. */
  #spoil(): void {
    const { garbage } = this.#parts.faults;
    if (garbage === undefined || this.#sentGarbage || this.#tokens < garbage.afterTokens) return;
    this.#sentGarbage = true;
    this.#parts.response.write(GARBAGE[garbage.form]);
  }

  #usage(): object {
    const promptTokens = this.#parts.request.prompts.reduce((sum, ids) => sum + ids.length, 0);
    const completionTokens = this.#choices.reduce((sum, choice) => sum + choice.tokens, 0);
    return {
      prompt_tokens: promptTokens,
      total_tokens: promptTokens + completionTokens,
      completion_tokens: completionTokens,
      prompt_tokens_details: null,
    };
  }

  /** vLLM's per-request times; `null` where several choices share the request. */
  #metrics(): object | null | undefined {
    if (!this.#parts.withMetrics) return undefined;
    const [sequence] = this.#sequences;
    if (sequence === undefined || this.#sequences.length > 1) return null;
    const { arrivedAtMs, scheduledAtMs, firstTokenAtMs, lastTokenAtMs, outputIds } = sequence;
    if (scheduledAtMs === null || firstTokenAtMs === null || lastTokenAtMs === null) {
      return null;
    }
    const generationMs = lastTokenAtMs - firstTokenAtMs;
    const intervals = outputIds.length - 1;
    return {
      time_to_first_token_ms: firstTokenAtMs - scheduledAtMs,
      generation_time_ms: generationMs,
      queue_time_ms: scheduledAtMs - arrivedAtMs,
      mean_itl_ms: intervals > 0 ? generationMs / intervals : null,
      tokens_per_second: generationMs > 0 ? (1_000 * outputIds.length) / generationMs : null,
    };
  }
}

const STREAM_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
} as const;

const GARBAGE = {
  json: 'data: {"id":"chatcmpl-broken","choices":[{"index":0,"del\n\n',
  utf8: Buffer.concat([
    Buffer.from("data: "),
    Buffer.of(0xc3, 0x28, 0xff, 0xfe),
    Buffer.from("\n\n"),
  ]),
} as const;
