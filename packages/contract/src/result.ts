import type { ChoiceDelta } from "./event.ts";
import type { Endpoint } from "./request.ts";
import type { Usage } from "./usage.ts";

/** A choice as it grows: the engine's fields with every delta folded in. */
type Choice = Record<string, unknown> & { index: number };

/** What a response says besides its choices. */
export interface ResponseHead {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
}

/**
 * Folds an attempt's deltas back into the response that the engine would have given had it not
 * streamed. Strings of one field are joined, tool calls are joined by index, lists (logprobs,
 * token ids) are appended, anything else is replaced by its latest value.
 */
export class ResultBuilder {
  readonly #endpoint: Endpoint;
  readonly #choices = new Map<number, Choice>();
  #data: readonly unknown[] = [];

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Fold in one `output.delta` of a generation. */
  addChoices(deltas: readonly ChoiceDelta[]): void {
    for (const delta of deltas) {
      const choice = this.#choices.get(delta.index) ?? { index: delta.index };
      this.#choices.set(delta.index, choice);
      foldFields(choice, delta);
    }
  }

  /** Take the vectors of an embeddings job. */
  addData(data: readonly unknown[]): void {
    this.#data = [...this.#data, ...data];
  }

  /** Forget everything: a new attempt starts over. */
  reset(): void {
    this.#choices.clear();
    this.#data = [];
  }

  /** The response body, in the shape of the endpoint's non-streaming answer. */
  build(head: ResponseHead, usage: Usage | null): Record<string, unknown> {
    switch (this.#endpoint) {
      case "/v1/embeddings":
        return { object: "list", data: this.#data, model: head.model, usage };
      case "/v1/completions":
        return { ...head, object: "text_completion", choices: this.#sortedChoices(), usage };
      case "/v1/chat/completions":
        return {
          ...head,
          object: "chat.completion",
          choices: this.#sortedChoices().map(toMessageChoice),
          usage,
        };
    }
  }

  #sortedChoices(): Choice[] {
    return [...this.#choices.values()].toSorted((a, b) => a.index - b.index);
  }
}

function toMessageChoice(choice: Choice): Choice {
  const { delta, ...rest } = choice;
  const said = isObject(delta) ? delta : {};
  return { ...rest, message: { role: "assistant", content: null, ...said } };
}

/** Fields that identify or classify rather than accumulate: the latest value stands. */
const REPLACED = new Set(["index", "role", "id", "type", "finish_reason", "stop_reason"]);

function foldFields(target: Record<string, unknown>, delta: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(delta)) {
    // An engine's JSON may hold this key; set on a plain object it would reach every object.
    if (key === "__proto__") continue;
    if (value === null || value === undefined) target[key] ??= value;
    else target[key] = REPLACED.has(key) ? value : fold(key, target[key], value);
  }
}

function fold(key: string, before: unknown, value: unknown): unknown {
  if (typeof value === "string") return typeof before === "string" ? before + value : value;
  if (Array.isArray(value)) {
    const items = Array.isArray(before) ? before : [];
    return key === "tool_calls" ? foldToolCalls(items, value) : [...items, ...value];
  }
  if (!isObject(value)) return value;
  const merged = isObject(before) ? before : {};
  foldFields(merged, value);
  return merged;
}

function foldToolCalls(calls: unknown[], deltas: readonly unknown[]): unknown[] {
  for (const delta of deltas.filter(isObject)) {
    const at = Number(delta["index"] ?? 0);
    const known = calls.filter(isObject).find((call) => Number(call["index"] ?? 0) === at);
    const call = known ?? {};
    foldFields(call, delta);
    if (known === undefined) calls.push(call);
  }
  return calls;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
