import { writeTokenIds, type IdsBefore, type LogItem } from "@headrace/broker";
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

/** Some 2 MB, and a few ms of Redis. */
const MOST_PROMPT_IDS = 262_144;

/**
 * Holds an attempt's output between two writes, and makes as few log entries of it as can be.
 *
 * Text is joined; whatever else the engine says (tool calls, logprobs, token ids) becomes an entry
 * of its own. An entry never has one choice twice, so each makes one OpenAI chunk. Once told to
 * keep token ids, it puts those of an entry's output beside it.
 */
export class OutputBuffer {
  readonly #entries: Entry[] = [];
  readonly #vectors: LogItem[] = [];
  #keepsIds = false;
  #before: IdsBefore | null = null;

  /** Whether whatever is added has its token ids kept. */
  get keepsIds(): boolean {
    return this.#keepsIds;
  }

  /**
   * Keep token ids from here on; `before` says what comes before them. Those of a very long prompt are
   * not kept: writing them would hold Redis up.
   */
  keepIds(before: IdsBefore): void {
    if ("prompt" in before && before.prompt.length > MOST_PROMPT_IDS) return;
    this.#keepsIds = true;
    this.#before = before;
  }

  /** Take one event's choices, with the ids of their output. They are the buffer's from here on. */
  add(choices: readonly ChoiceDelta[], ids: readonly number[] = []): void {
    for (const choice of choices) this.#addChoice(choice);
    if (this.#keepsIds) this.#entries.at(-1)?.ids.push(...ids);
  }

  /** Take the vectors of an embeddings call. */
  addVectors(data: readonly unknown[]): void {
    this.#vectors.push({ type: "vectors", data: JSON.stringify(data) });
  }

  /** Hand over the oldest items, up to `limit`. */
  take(limit = Number.POSITIVE_INFINITY): LogItem[] {
    const items = this.#entries.splice(0, limit).map((entry) => this.#toItem(entry));
    items.push(...this.#vectors.splice(0, limit - items.length));
    return items;
  }

  #toItem({ runs, ids }: Entry): LogItem {
    const data = JSON.stringify(runs.map((run) => run.join()));
    if (!this.#keepsIds) return { type: "delta", data };
    const before = this.#before;
    this.#before = null;
    return { type: "delta", data, ids: writeTokenIds(ids, before) };
  }

  #addChoice(choice: ChoiceDelta): void {
    const entry = this.#entries.at(-1);
    const run = entry?.runs.find(({ index }) => index === choice.index);
    if (entry === undefined || run?.tryAdd(choice) === false) {
      this.#entries.push({ runs: [new Run(choice)], ids: [] });
    } else if (run === undefined) {
      entry.runs.push(new Run(choice));
    }
  }
}

/** A log entry as it grows. */
interface Entry {
  readonly runs: Run[];
  readonly ids: number[];
}

/**
 * Deltas of one choice that say the same when joined.
 *
 * They are kept as they came and joined once, when they are written: growing the first of them in
 * place met objects of ever new shapes, which V8 compiled for again and again (190 times in 4,000
 * jobs, and each time for all that called it).
 */
class Run {
  readonly index: number;
  readonly #first: ChoiceDelta;
  readonly #rest: ChoiceDelta[] = [];
  /** Whether the next may be joined to these. */
  #isOpen: boolean;

  constructor(choice: ChoiceDelta) {
    this.index = choice.index;
    this.#first = choice;
    this.#isOpen = !choice.finish_reason && isPlain(choice);
  }

  /** Take the next delta where joining it loses nothing. @returns whether it was taken */
  tryAdd(choice: ChoiceDelta): boolean {
    if (!this.#isOpen || !isAlike(this.#first, choice) || !isPlain(choice)) return false;
    this.#rest.push(choice);
    this.#isOpen = !choice.finish_reason;
    return true;
  }

  join(): ChoiceDelta {
    return this.#rest.reduce(joinTwo, this.#first);
  }
}

/** Whether both are a completion's, or both a chat's. */
function isAlike(one: ChoiceDelta, other: ChoiceDelta): boolean {
  return one.text === undefined
    ? one.delta !== undefined && other.delta !== undefined
    : other.text !== undefined;
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

function joinTwo(before: ChoiceDelta, next: ChoiceDelta): ChoiceDelta {
  const joined = { ...before, ...next };
  if (before.text !== undefined) joined.text = before.text + (next.text ?? "");
  if (before.delta !== undefined) joined.delta = joinDeltas(before.delta, next.delta ?? {});
  return joined;
}

function joinDeltas(
  before: Readonly<Record<string, unknown>>,
  next: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const joined = { ...before };
  for (const [key, more] of Object.entries(next)) {
    const said = before[key];
    // What is not said may be any key of the engine's, "__proto__" among them.
    if (!isSaid(more)) continue;
    joined[key] = GROWING.has(key) && typeof said === "string" ? said + String(more) : more;
  }
  return joined;
}
