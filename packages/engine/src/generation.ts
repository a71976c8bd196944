import { usageSchema, type ChoiceDelta, type Usage } from "@headrace/contract";
import { z } from "zod";

import { EngineError, eventError } from "./error.ts";
import { EventStream } from "./event-stream.ts";
import type { ExchangeTimes, Reader, ResponseHead } from "./reader.ts";
import type { TokenIdsMode } from "./request.ts";

/** One event holds one token per choice, or a tool call's arguments: far below this, in bytes. */
const MAX_EVENT_BYTES = 1_048_576;
/** The first may name the ids of the prompt, where they were asked for: seven bytes each. */
const MAX_EVENT_BYTES_WITH_IDS = 16_777_216;

/** How OpenAI's streams end. */
const DONE = "[DONE]";

/**
 * What vLLM (and SGLang) say of a choice that the engine itself stopped: on shutdown, on sleep, on
 * scale-down. vLLM sends it with 200 and `[DONE]`, as if it had completed.
 *
 * @see https://github.com/vllm-project/vllm/issues/57082
 */
const BROKEN_OFF = new Set(["abort", "error"]);

/** Hears a generation as it comes. Called synchronously; what it throws ends the generation. */
export interface EngineSink {
  /** The engine accepted the request: its response headers came. */
  onAccepted(): void;
  /**
   * One event's choices, unchanged (content, reasoning, tool calls, logprobs, token ids). Never
   * empty; the first call marks the first token. `ids` are of the output that the event stands for,
   * where they were asked for; the engine may hold back the text of the last of them.
   */
  onChoices(choices: readonly ChoiceDelta[], ids: readonly number[]): void;
  /** Ids of the prompt, before the first choices, where they were asked for and the engine tells. */
  onPromptIds?(ids: readonly number[]): void;
}

/**
 * vLLM's own timing of one request, from `--enable-per-request-metrics`. Its time to first token
 * starts when the request is scheduled: it leaves out the engine's queue.
 *
 * @see https://docs.vllm.ai/en/latest/features/per_request_metrics
 */
export type EngineMetrics = z.infer<typeof metricsSchema>;

const figure = z.number().nullish();
const metricsSchema = z.looseObject({
  time_to_first_token_ms: figure,
  generation_time_ms: figure,
  queue_time_ms: figure,
  mean_itl_ms: figure,
  tokens_per_second: figure,
});

/** A generation that ran to its end. */
export interface EngineOutcome {
  /** The engine's name for the response, null when it gave none; so with the three below. */
  readonly id: string | null;
  readonly model: string | null;
  /** Unix seconds. */
  readonly created: number | null;
  readonly systemFingerprint: string | null;
  readonly usage: Usage | null;
  readonly metrics: EngineMetrics | null;
  /** Why each choice ended, by choice index. */
  readonly finishReasons: readonly string[];
  /** Events that carried choices. */
  readonly chunks: number;
  /** Milliseconds of `performance.now()`. */
  readonly times: ExchangeTimes & { readonly firstTokenAt: number; readonly lastTokenAt: number };
}

/**
 * Reads the event stream of one generation and judges whether it is whole.
 *
 * It is whole only when `[DONE]` came and each choice had said why it ended; anything less throws,
 * so that truncated text never passes for finished. Per event only the few fields that are used
 * are checked, by hand: a zod schema costs more than the JSON parser.
 */
export class GenerationReader implements Reader<EngineOutcome> {
  readonly #sink: EngineSink;
  readonly #expectedChoices: number;
  readonly #idsMode: TokenIdsMode;
  readonly #events: EventStream;
  readonly #finishReasons = new Map<number, string | null>();
  #head: Record<string, unknown> | null = null;
  #usage: unknown = null;
  #metrics: unknown = null;
  #chunks = 0;
  #readAt = 0;
  #firstTokenAt = 0;
  #lastTokenAt = 0;
  #hasPromptIds = false;
  progressAt: number | null = null;
  isComplete = false;

  constructor(expectedChoices: number, sink: EngineSink, idsMode: TokenIdsMode) {
    this.#expectedChoices = expectedChoices;
    this.#sink = sink;
    this.#idsMode = idsMode;
    const limit = idsMode === "untouched" ? MAX_EVENT_BYTES : MAX_EVENT_BYTES_WITH_IDS;
    this.#events = new EventStream(limit, (data) => this.#take(data));
  }

  accepts({ status, contentType }: ResponseHead): boolean {
    const isStream = status === 200 && contentType.startsWith("text/event-stream");
    if (isStream) this.#sink.onAccepted();
    return isStream;
  }

  /** @throws EngineError engine_failed, engine_rejected, engine_full or engine_unavailable */
  read(bytes: Buffer, at: number): void {
    this.#readAt = at;
    this.#events.push(bytes);
  }

  /** @throws EngineError engine_unavailable when the stream is not whole */
  finish(times: ExchangeTimes): EngineOutcome {
    if (!this.isComplete && this.#events.end() !== DONE) throw this.#cut("the stream was cut");
    const finishReasons = this.#wholeFinishReasons();
    const head = this.#head ?? {};
    return {
      id: findString(head["id"]),
      model: findString(head["model"]),
      created: typeof head["created"] === "number" ? head["created"] : null,
      systemFingerprint: findString(head["system_fingerprint"]),
      usage: readUsage(this.#usage),
      metrics: metricsSchema.safeParse(this.#metrics).data ?? null,
      finishReasons,
      chunks: this.#chunks,
      times: { ...times, firstTokenAt: this.#firstTokenAt, lastTokenAt: this.#lastTokenAt },
    };
  }

  #take(data: string): void {
    if (this.isComplete) return;
    if (data === DONE) {
      this.isComplete = true;
      return;
    }
    const chunk = parseChunk(data);
    this.progressAt = this.#readAt;
    this.#head ??= chunk;
    this.#usage = chunk["usage"] ?? this.#usage;
    this.#metrics = chunk["metrics"] ?? this.#metrics;
    const { choices } = chunk;
    if (!isChoices(choices))
      throw new EngineError("engine_failed", "the engine sent an event without proper choices");
    if (choices.length === 0) return;
    if (this.#idsMode !== "untouched" && !this.#hasPromptIds) this.#passPromptIds(chunk, choices);
    this.#pass(choices);
  }

  /** Chat names them beside its first choices, completions inside. */
  #passPromptIds(chunk: Record<string, unknown>, choices: readonly ChoiceDelta[]): void {
    const [choice] = choices;
    const ids = chunk["prompt_token_ids"] ?? choice?.["prompt_token_ids"];
    if (choice?.["prompt_token_ids"] && this.#idsMode === "taken")
      choice["prompt_token_ids"] = null;
    if (!isIds(ids)) return;
    this.#hasPromptIds = true;
    this.#sink.onPromptIds?.(ids);
  }

  #takeIds(choices: readonly ChoiceDelta[]): readonly number[] {
    const [choice] = choices;
    const ids = choice?.["token_ids"];
    if (choice === undefined || !isIds(ids)) return NO_IDS;
    if (this.#idsMode === "taken") choice["token_ids"] = null;
    return ids;
  }

  #pass(choices: readonly ChoiceDelta[]): void {
    for (const { index, finish_reason: reason } of choices) {
      if (reason && BROKEN_OFF.has(reason)) throw this.#cut(`the engine broke off ("${reason}")`);
      if (reason || !this.#finishReasons.has(index)) this.#finishReasons.set(index, reason || null);
    }
    this.#chunks += 1;
    if (this.#firstTokenAt === 0) this.#firstTokenAt = this.#readAt;
    this.#lastTokenAt = this.#readAt;
    this.#sink.onChoices(choices, this.#idsMode === "untouched" ? NO_IDS : this.#takeIds(choices));
  }

  #wholeFinishReasons(): string[] {
    const reasons: string[] = [];
    const count = Math.max(this.#expectedChoices, this.#finishReasons.size);
    for (let index = 0; index < count; index += 1) {
      const reason = this.#finishReasons.get(index) ?? null;
      if (reason === null) throw this.#cut(`choice ${index} of ${count} has no finish reason`);
      reasons.push(reason);
    }
    return reasons;
  }

  #cut(why: string): EngineError {
    return new EngineError("engine_unavailable", `${why} after ${this.#chunks} chunks`);
  }
}

function parseChunk(data: string): Record<string, unknown> {
  const chunk = parseJson(data);
  if (!isRecord(chunk))
    throw new EngineError("engine_failed", "the engine sent an event that is no object");
  const error = chunk["error"] ?? null;
  if (error !== null) throw eventError(error);
  return chunk;
}

/** The parser's own error quotes the output, so it is not passed on. */
function parseJson(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    throw new EngineError("engine_failed", "the engine sent an event that is not JSON");
  }
}

function isChoices(value: unknown): value is ChoiceDelta[] {
  return Array.isArray(value) && value.every(isChoice);
}

/** The same claims as the contract's `choiceDeltaSchema`, which every reader of the log trusts. */
function isChoice(value: unknown): value is ChoiceDelta {
  if (!isRecord(value)) return false;
  const { index, finish_reason: reason, delta, text } = value;
  return (
    typeof index === "number" &&
    Number.isSafeInteger(index) &&
    index >= 0 &&
    (reason === undefined || reason === null || typeof reason === "string") &&
    (delta === undefined || isRecord(delta)) &&
    (text === undefined || typeof text === "string")
  );
}

const NO_IDS: readonly number[] = [];

function isIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(Number.isSafeInteger);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function findString(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function readUsage(usage: unknown): Usage | null {
  if (usage === null) return null;
  const parsed = usageSchema.safeParse(usage);
  if (parsed.success) return parsed.data;
  throw new EngineError("engine_failed", "the engine sent token counts in another shape");
}
