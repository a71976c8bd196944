import type { ChoiceDelta, Response } from "@headrace/contract";
import { z } from "zod";

import {
  showItem,
  showNewItem,
  showPart,
  type CallItem,
  type ItemStatus,
  type OutputItem,
  type TextItem,
  type TextKind,
} from "./output-item.ts";

/** An event without its number. */
export type EventBody = { readonly type: string } & Readonly<Record<string, unknown>>;
type Emit = (event: EventBody) => void;

/** How each kind of text names its item, and its events. */
const KINDS = {
  output_text: { type: "message", prefix: "msg", event: "response.output_text", field: "text" },
  refusal: { type: "message", prefix: "msg", event: "response.refusal", field: "refusal" },
  reasoning_text: {
    type: "reasoning",
    prefix: "rs",
    event: "response.reasoning_text",
    field: "text",
  },
} as const;

const toolCallsSchema = z.array(
  z.looseObject({
    index: z.int().min(0).default(0),
    id: z.string().nullish(),
    function: z
      .looseObject({ name: z.string().nullish(), arguments: z.string().nullish() })
      .nullish(),
  }),
);
const logprobsSchema = z.looseObject({ content: z.array(z.unknown()) });

/**
 * Turns the deltas of a chat's one choice into a response's output items and the events that tell of
 * them.
 *
 * Text of another kind begins another item and ends the one before it, as does a further call. Only a
 * call stays open beside text: engines put white space between a call's beginning and its end.
 */
export class OutputEvents {
  readonly #key: string;
  readonly #emit: Emit;
  readonly #items: OutputItem[] = [];
  #text: TextItem | null = null;
  #call: OpenCall | null = null;
  /** Log probabilities of tokens whose text the engine still holds back. */
  #logprobs: unknown[] = [];

  /** @param key makes the items' ids: the same job's items always have the same ids */
  constructor(key: string, emit: Emit) {
    this.#key = key;
    this.#emit = emit;
  }

  get items(): Response["output"] {
    return this.#items.map(showItem);
  }

  /** Take the next delta. @throws TypeError for a call that goes on after a later one has begun */
  take({ delta = {}, ...choice }: ChoiceDelta): void {
    const reasoning = delta["reasoning"] ?? delta["reasoning_content"];
    const calls = toolCallsSchema.safeParse(delta["tool_calls"]).data ?? [];
    this.#addText("reasoning_text", reasoning);
    if (!reasoning && calls.length === 0) this.#addLogprobs(choice["logprobs"]);
    this.#addText("output_text", delta["content"]);
    this.#addText("refusal", delta["refusal"]);
    for (const call of calls) this.#addCall(call);
  }

  /** End all items. One that was cut off is the last to have been open. */
  close(status: Exclude<ItemStatus, "in_progress">): void {
    // An answer of no words is an answer.
    if (this.#items.length === 0) this.#openText("output_text");
    const open = [this.#call?.item, this.#text].filter(
      (item) => item !== null && item !== undefined,
    );
    for (const item of open.toSorted((a, b) => a.index - b.index)) {
      this.#closeItem(item, item.index === this.#items.length - 1 ? status : "completed");
    }
  }

  /** Leave items as they are: nothing more comes. */
  abandon(): void {
    for (const item of [this.#call?.item, this.#text]) if (item) item.status = "incomplete";
  }

  #addText(kind: TextKind, said: unknown): void {
    if (typeof said !== "string" || said === "") return;
    const item = this.#text?.kind === kind ? this.#text : this.#openText(kind);
    item.text += said;
    this.#emit({
      type: `${KINDS[kind].event}.delta`,
      ...placeOf(item),
      delta: said,
      ...(kind === "output_text" ? { logprobs: this.#takeLogprobs(item) } : {}),
    });
  }

  /** A response has those of its answer alone. */
  #addLogprobs(said: unknown): void {
    const logprobs = logprobsSchema.safeParse(said);
    if (logprobs.success) this.#logprobs.push(...logprobs.data.content);
  }

  #takeLogprobs(item: TextItem): unknown[] {
    const logprobs = this.#logprobs;
    this.#logprobs = [];
    item.logprobs.push(...logprobs);
    return logprobs;
  }

  #openText(kind: TextKind): TextItem {
    if (this.#text !== null) this.#closeItem(this.#text, "completed");
    const { type, prefix } = KINDS[kind];
    const index = this.#items.length;
    const id = `${prefix}_${this.#key}_${index}`;
    const item: TextItem = { type, kind, id, index, text: "", logprobs: [], status: "in_progress" };
    this.#add(item);
    this.#emit({ type: "response.content_part.added", ...placeOf(item), part: showPart(item) });
    this.#text = item;
    return item;
  }

  #addCall({ index, id, function: said }: z.infer<typeof toolCallsSchema>[number]): void {
    // Some engines give every call the same index, and tell them apart by their ids alone.
    const known = this.#call?.givenId ?? null;
    const isAnother = Boolean(id) && known !== null && id !== known;
    if (this.#call?.index !== index || isAnother) {
      this.#openCall(index, { id, name: said?.name ?? "" });
    }
    const item = this.#call?.item;
    if (item === undefined) return;
    // Most engines say the name once, some in every delta.
    if (item.name === "") item.name = said?.name ?? "";
    const delta = said?.arguments ?? "";
    if (delta === "") return;
    item.arguments += delta;
    this.#emit({
      type: "response.function_call_arguments.delta",
      item_id: item.id,
      output_index: item.index,
      delta,
    });
  }

  #openCall(
    callIndex: number,
    { id, name }: { readonly id: string | null | undefined; readonly name: string },
  ): void {
    if (this.#call !== null) {
      if (callIndex < this.#call.index) throw new TypeError("a call went on after it had ended");
      this.#closeItem(this.#call.item, "completed");
    }
    if (this.#text !== null) this.#closeItem(this.#text, "completed");
    const index = this.#items.length;
    const item: CallItem = {
      type: "function_call",
      id: `fc_${this.#key}_${index}`,
      index,
      callId: id ?? `call_${this.#key}_${index}`,
      name,
      arguments: "",
      status: "in_progress",
    };
    this.#add(item);
    this.#call = { index: callIndex, givenId: id ?? null, item };
  }

  #add(item: OutputItem): void {
    this.#items.push(item);
    this.#emit({
      type: "response.output_item.added",
      output_index: item.index,
      item: showNewItem(item),
    });
  }

  #closeItem(item: OutputItem, status: ItemStatus): void {
    item.status = status;
    if (item.type === "function_call") {
      this.#call = null;
      this.#emit({
        type: "response.function_call_arguments.done",
        item_id: item.id,
        output_index: item.index,
        name: item.name,
        arguments: item.arguments,
      });
    } else {
      this.#text = null;
      this.#closeText(item);
    }
    this.#emit({
      type: "response.output_item.done",
      output_index: item.index,
      item: showItem(item),
    });
  }

  #closeText(item: TextItem): void {
    const { event, field } = KINDS[item.kind];
    if (item.kind === "output_text") this.#takeLogprobs(item);
    this.#emit({
      type: `${event}.done`,
      ...placeOf(item),
      [field]: item.text,
      ...(item.kind === "output_text" ? { logprobs: item.logprobs } : {}),
    });
    this.#emit({ type: "response.content_part.done", ...placeOf(item), part: showPart(item) });
  }
}

/** The call that is being made. */
interface OpenCall {
  /** As the engine numbers its calls. */
  readonly index: number;
  /** As the engine names it; null where it does not. */
  readonly givenId: string | null;
  readonly item: CallItem;
}

/** Where an event's text belongs. */
function placeOf({ id, index }: TextItem): object {
  return { item_id: id, output_index: index, content_index: 0 };
}
