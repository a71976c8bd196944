import type { LogItem } from "@headrace/broker";
import type { ChoiceDelta } from "@headrace/contract";

/** Texts that grow by concatenation: joining two deltas says the same as sending both. */
const GROWING: ReadonlySet<string> = new Set(["content", "reasoning", "reasoning_content"]);
/** Fields of a choice that joining knows how to treat; any other with a value stands alone. */
const JOINABLE: ReadonlySet<string> = new Set([
  "index",
  "delta",
  "text",
  "finish_reason",
  "stop_reason",
]);

/**
 * Holds an attempt's output between two writes, and makes as few log entries of it as can be.
 *
 * Text is joined; whatever else the engine says (tool calls, logprobs, token ids) becomes an entry
 * of its own. An entry never has one choice twice, so each makes one OpenAI chunk.
 */
export class OutputBuffer {
  readonly #entries: ChoiceDelta[][] = [];
  readonly #vectors: LogItem[] = [];

  /** Take one event's choices. They are the buffer's from here on. */
  add(choices: readonly ChoiceDelta[]): void {
    for (const choice of choices) this.#addChoice(choice);
  }

  /** Take the vectors of an embeddings call. */
  addVectors(data: readonly unknown[]): void {
    this.#vectors.push({ type: "vectors", data: JSON.stringify(data) });
  }

  /** Hand over the oldest items, up to `limit`. */
  take(limit = Number.POSITIVE_INFINITY): LogItem[] {
    const items = this.#entries
      .splice(0, limit)
      .map((entry): LogItem => ({ type: "delta", data: JSON.stringify(entry) }));
    items.push(...this.#vectors.splice(0, limit - items.length));
    return items;
  }

  #addChoice(choice: ChoiceDelta): void {
    const entry = this.#entries.at(-1);
    const before = entry?.find(({ index }) => index === choice.index);
    if (entry === undefined || (before !== undefined && !join(before, choice))) {
      this.#entries.push([choice]);
    } else if (before === undefined) {
      entry.push(choice);
    }
  }
}

/** Whether an event says more than who is speaking: the first that does carries the first token. */
export function carriesOutput(choices: readonly ChoiceDelta[]): boolean {
  return choices.some(
    ({ text, delta, finish_reason }) =>
      Boolean(text) ||
      Boolean(finish_reason) ||
      Object.entries(delta ?? {}).some(([key, value]) => key !== "role" && isSaid(value)),
  );
}

function isSaid(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "";
}

/** Add `next` to `before` where that loses nothing. @returns whether it was added */
function join(before: ChoiceDelta, next: ChoiceDelta): boolean {
  if (before.finish_reason || !isPlain(before) || !isPlain(next)) return false;
  if (typeof before.text === "string" && typeof next.text === "string") {
    before.text += next.text;
  } else if (before.delta && next.delta) {
    joinDeltas(before.delta, next.delta);
  } else {
    return false;
  }
  for (const key in next) {
    if (key !== "delta" && key !== "text" && key !== "__proto__") before[key] = next[key];
  }
  return true;
}

function isPlain(choice: ChoiceDelta): boolean {
  for (const key in choice) {
    if (!JOINABLE.has(key) && isSaid(choice[key])) return false;
  }
  for (const key in choice.delta) {
    const value = choice.delta[key];
    if (isSaid(value) && !(typeof value === "string" && (GROWING.has(key) || key === "role"))) {
      return false;
    }
  }
  return true;
}

function joinDeltas(before: Record<string, unknown>, next: Record<string, unknown>): void {
  for (const key in next) {
    // An own key of this name would reach the prototype when it is set.
    if (key === "__proto__") continue;
    const said = before[key];
    const more = next[key];
    if (!isSaid(more)) continue;
    before[key] = GROWING.has(key) && typeof said === "string" ? said + String(more) : more;
  }
}
