import type { Response } from "@headrace/contract";

/** What text can be: the answer, a refusal to give one, or what the model thought. */
export type TextKind = "output_text" | "refusal" | "reasoning_text";
export type ItemStatus = "in_progress" | "completed" | "incomplete";

/** An item of text as it grows; each has one part. */
export interface TextItem {
  readonly type: "message" | "reasoning";
  readonly kind: TextKind;
  readonly id: string;
  readonly index: number;
  text: string;
  readonly logprobs: unknown[];
  status: ItemStatus;
}

/** A call of a function as it grows. */
export interface CallItem {
  readonly type: "function_call";
  readonly id: string;
  readonly index: number;
  readonly callId: string;
  name: string;
  arguments: string;
  status: ItemStatus;
}

export type OutputItem = TextItem | CallItem;

/** Show an item as the API shows it; one that is open has come as far as it has. */
export function showItem(item: OutputItem): Response["output"][number] {
  const { id, type, status } = item;
  switch (type) {
    case "message":
      return { id, type, status, role: "assistant", content: [showPart(item)] };
    case "reasoning":
      return { id, type, status, summary: [], content: [showPart(item)] };
    case "function_call":
      return { id, type, status, ...showCall(item) };
  }
}

/** Show an item that is about to be filled. */
export function showNewItem(item: OutputItem): Response["output"][number] {
  const { id, type, status } = item;
  switch (type) {
    case "message":
      return { id, type, status, role: "assistant", content: [] };
    case "reasoning":
      return { id, type, status, summary: [], content: [] };
    case "function_call":
      return { id, type, status, ...showCall(item), arguments: "" };
  }
}

/** Show the part of an item of text. */
export function showPart({ kind, text, logprobs }: TextItem): object {
  switch (kind) {
    case "output_text":
      // Copied: an event must not change when the item grows.
      return { type: kind, annotations: [], logprobs: [...logprobs], text };
    case "refusal":
      return { type: kind, refusal: text };
    case "reasoning_text":
      return { type: kind, text };
  }
}

function showCall({ callId, name, arguments: text }: CallItem): {
  call_id: string;
  name: string;
  arguments: string;
} {
  return { call_id: callId, name, arguments: text };
}
