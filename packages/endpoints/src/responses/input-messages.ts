import { z } from "zod";

import { validate } from "../validation.ts";
import { contentSchema, toChatContent, type ChatPart, type Content } from "./input-content.ts";
import { refusal } from "./refusal.ts";

/** A tool call that the model made in an earlier turn. */
interface ChatToolCall {
  readonly id: string;
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: string };
}

/** A message as `/v1/chat/completions` takes it. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string | readonly ChatPart[] | null;
  /** As vLLM reads it: what the model thought before the content. */
  readonly reasoning?: string;
  readonly tool_calls?: readonly ChatToolCall[];
  readonly tool_call_id?: string;
}

type Item = Readonly<Record<string, unknown>>;

const LONGEST_ID = 256;
const LONGEST_NAME = 128;
const callId = z.string().min(1).max(LONGEST_ID);

const messageItem = z.looseObject({
  role: z.enum(["user", "assistant", "system", "developer"]),
  content: contentSchema,
});
const callItem = z.looseObject({
  call_id: callId,
  name: z.string().min(1).max(LONGEST_NAME),
  arguments: z.string(),
});
const outputItem = z.looseObject({ call_id: callId, output: contentSchema });
const texts = z.array(z.looseObject({ text: z.string() })).nullish();
const reasoningItem = z.looseObject({ content: texts, summary: texts });

/**
 * Turn a response's input into the messages of a chat.
 *
 * What the model said in one turn (its reasoning, its text, its calls) is an item each, and one
 * message. The roles `developer` and `system` mean the same, and engines' templates know the latter.
 *
 * @throws PlatformError `request_invalid` naming the item's field
 */
export function toMessages(input: string | readonly Item[]): ChatMessage[] {
  if (typeof input === "string") return [{ role: "user", content: input }];
  const builder = new MessageBuilder();
  for (const [index, item] of input.entries()) builder.add(item, `input[${index}]`);
  return builder.build();
}

/** What the model said in a turn, as its items are gathered. */
interface Turn {
  reasoning: string;
  content: string | ChatPart[] | null;
  readonly calls: ChatToolCall[];
}

class MessageBuilder {
  readonly #messages: ChatMessage[] = [];
  readonly #callIds = new Set<string>();
  #turn: Turn | null = null;

  /** Take the next item; `at` is its path, for messages. */
  add(item: Item, at: string): void {
    const type = item["type"] ?? "message";
    switch (type) {
      case "message":
        return this.#addMessage(validate(messageItem, item, at), at);
      case "reasoning":
        return this.#addReasoning(validate(reasoningItem, item, at));
      case "function_call":
        return this.#addCall(validate(callItem, item, at));
      case "function_call_output":
        return this.#addOutput(validate(outputItem, item, at), at);
      case "item_reference":
        throw refusal(`${at}.type`, "items are not looked up; send the item itself");
      default:
        throw refusal(
          `${at}.type`,
          "expected message, reasoning, function_call or function_call_output",
        );
    }
  }

  build(): ChatMessage[] {
    this.#endTurn();
    return this.#messages;
  }

  #addMessage({ role, content }: z.infer<typeof messageItem>, at: string): void {
    const chatContent = toChatContent(content, `${at}.content`);
    if (role === "assistant") {
      if (this.#turn !== null && (this.#turn.content !== null || this.#turn.calls.length > 0)) {
        this.#endTurn();
      }
      this.#openTurn().content = chatContent;
      return;
    }
    this.#endTurn();
    this.#messages.push({ role: role === "user" ? "user" : "system", content: chatContent });
  }

  /** Reasoning that only its maker can read is left out: there is nothing to give to an engine. */
  #addReasoning({ content, summary }: z.infer<typeof reasoningItem>): void {
    const said =
      content !== null && content !== undefined && content.length > 0 ? content : summary;
    const text = (said ?? []).map((part) => part.text).join("\n");
    if (this.#turn !== null && (this.#turn.content !== null || this.#turn.calls.length > 0)) {
      this.#endTurn();
    }
    this.#openTurn().reasoning += text;
  }

  #addCall({ call_id: id, name, arguments: text }: z.infer<typeof callItem>): void {
    this.#callIds.add(id);
    this.#openTurn().calls.push({ id, type: "function", function: { name, arguments: text } });
  }

  #addOutput({ call_id: id, output }: { call_id: string; output: Content }, at: string): void {
    if (!this.#callIds.has(id)) {
      throw refusal(`${at}.call_id`, "no function_call before it has this call_id; send that too");
    }
    this.#endTurn();
    this.#messages.push({
      role: "tool",
      tool_call_id: id,
      content: toChatContent(output, `${at}.output`),
    });
  }

  #openTurn(): Turn {
    this.#turn ??= { reasoning: "", content: null, calls: [] };
    return this.#turn;
  }

  #endTurn(): void {
    const turn = this.#turn;
    this.#turn = null;
    // Reasoning alone is no message: templates refuse one that says nothing.
    if (turn === null || (turn.content === null && turn.calls.length === 0)) return;
    this.#messages.push({
      role: "assistant",
      content: turn.content,
      ...(turn.reasoning === "" ? {} : { reasoning: turn.reasoning }),
      ...(turn.calls.length === 0 ? {} : { tool_calls: turn.calls }),
    });
  }
}
