import { OutputText, type StopRules } from "./output-text.ts";
import { Prose } from "./prose.ts";
import { bytesOf, encode, SPECIAL } from "./vocabulary.ts";

/** A chat message as far as the template cares: content is text, or parts of which text counts. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly ContentPart[] | null | undefined;
  /** Calls that the assistant made. */
  readonly tool_calls?: readonly object[] | null | undefined;
}

/** A part of a message; parts that are not text have no tokens here. */
export interface ContentPart {
  readonly type: string;
  readonly text?: string | undefined;
}

/** Where a text starts and what may end it. */
export interface ContinuationOptions {
  readonly promptIds: readonly number[];
  /** Default 0, as for a request that names none. */
  readonly seed?: number | undefined;
  /** Most ids to give. */
  readonly maxTokens: number;
  /** Never end by itself; default false. */
  readonly ignoreEos?: boolean | undefined;
  /** Do not end by itself before this many ids; default 0. */
  readonly minTokens?: number | undefined;
}

/** The ids an engine emits, the end token included where the text ended by itself. */
export interface Continuation {
  readonly ids: readonly number[];
  readonly finishReason: "stop" | "length";
}

/** Spell text in ids: greedy, longest match, exact for every well-formed string. */
export function tokenize(text: string): number[] {
  return encode(text);
}

/** Give the text of ids; special tokens have none, broken characters become U+FFFD. */
export function detokenize(ids: readonly number[]): string {
  return Buffer.concat(ids.map(bytesOf)).toString();
}

/**
 * Give the ids of a conversation as the chat endpoint feeds them to the model: tools are described in
 * a turn of their own before it.
 */
export function chatPromptIds(
  messages: readonly ChatMessage[],
  tools: readonly object[] | null | undefined = null,
): number[] {
  const described =
    tools === null || tools === undefined || tools.length === 0
      ? []
      : [{ role: "system", content: JSON.stringify(tools) }];
  const turns = [...described, ...messages].map((message) => [
    roleId(message.role),
    ...encode(contentText(message.content) + callText(message)),
    SPECIAL.end,
  ]);
  return [SPECIAL.begin, ...turns.flat(), SPECIAL.assistant];
}

/**
 * Compute what the engine emits after a prompt.
 *
 * A pure function of its options, and a continuable one: for every k, the continuation of the prompt
 * and the first k ids is the rest of these ids (with `maxTokens` and `minTokens` less k).
 */
export function continuation(options: ContinuationOptions): Continuation {
  const prose = proseAfter(options.promptIds, options.seed ?? 0);
  const ids: number[] = [];
  while (ids.length < options.maxTokens) {
    const mayEnd = options.ignoreEos !== true && ids.length >= (options.minTokens ?? 0);
    const id = prose.next(mayEnd);
    ids.push(id);
    if (id === SPECIAL.end) return { ids, finishReason: "stop" };
    prose.advance(id);
  }
  return { ids, finishReason: "length" };
}

/** What a whole response says. */
export interface ExpectedText {
  readonly text: string;
  readonly finishReason: "stop" | "length";
  /** The ids up to the one that ended it. */
  readonly ids: readonly number[];
}

/** A continuation that may also end at a stop string. */
export interface TextOptions extends ContinuationOptions, Partial<Pick<StopRules, "stop">> {}

/** Compute the text that `/v1/completions` answers to a prompt in ids. */
export function expectedText(options: TextOptions): ExpectedText {
  const { ids, finishReason } = continuation(options);
  const output = new OutputText(options.promptIds, {
    stop: options.stop ?? [],
    minTokens: options.minTokens ?? 0,
    includeStop: false,
  });
  let text = "";
  for (const [index, id] of ids.entries()) {
    const step = output.take(id, index === ids.length - 1);
    text += step.text;
    if (step.stopReason !== null) {
      return { text, finishReason: "stop", ids: ids.slice(0, index + 1) };
    }
  }
  return { text, finishReason, ids };
}

/** Compute the text that `/v1/chat/completions` answers to a conversation. */
export function expectedChatText(
  messages: readonly ChatMessage[],
  options: Omit<TextOptions, "promptIds">,
): ExpectedText {
  return expectedText({ ...options, promptIds: chatPromptIds(messages) });
}

/** Give prose that has read a prompt and is about to write. */
export function proseAfter(promptIds: readonly number[], seed: number): Prose {
  const prose = new Prose(seed);
  for (const id of promptIds) prose.advance(id);
  return prose;
}

function roleId(role: string): number {
  switch (role) {
    case "system":
    case "developer":
      return SPECIAL.system;
    case "assistant":
      return SPECIAL.assistant;
    case "tool":
    case "function":
      return SPECIAL.tool;
    default:
      return SPECIAL.user;
  }
}

function callText({ tool_calls: calls }: ChatMessage): string {
  return calls === null || calls === undefined || calls.length === 0 ? "" : JSON.stringify(calls);
}

function contentText(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => part.text ?? "").join("\n");
}
