import type { CallNews, Choice, ChoiceEnd, ChoiceNews } from "./choice.ts";
import type { GenerationRequest } from "./generation-request.ts";
import { chatLogprobs, completionLogprobs } from "./logprobs.ts";

/** What all parts of one response share. */
export interface ResponseHead {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly model: string;
}

/** How one endpoint writes its responses. */
export interface Dialect {
  /** What comes before a choice's first news; empty where the endpoint has no such thing. */
  opening(index: number, promptIds: readonly number[]): string;
  /** One SSE event with a choice's news; `first` where they are its first. */
  chunk(choice: Choice, news: ChoiceNews, first: boolean): string;
  /** The last SSE event, without choices. */
  usageChunk(usage: object, metrics: object | null | undefined): string;
  /** The whole response of a call that does not stream. */
  body(choices: readonly Choice[], usage: object, metrics: object | null | undefined): object;
}

/**
 * Write as `/v1/chat/completions` does.
 *
 * A chunk is put together from prepared JSON around the text, since one is written per token.
 */
export function chatDialect(head: ResponseHead, request: GenerationRequest): Dialect {
  const event = eventHead(head, "chat.completion.chunk");
  const choiceHead = `${event}"choices":[{"index":`;
  const idsOf = (ids: readonly number[]): string =>
    request.returnTokenIds ? JSON.stringify(ids) : "null";
  return {
    opening: (index, promptIds) =>
      `${choiceHead}${index},"delta":{"role":"assistant","content":""},"logprobs":null,` +
      `"finish_reason":null}],"prompt_token_ids":${idsOf(promptIds)}}\n\n`,
    chunk: (choice, news) =>
      `${choiceHead}${choice.index},"delta":${deltaOf(news)},"logprobs":` +
      (news.logprobs.length > 0 ? JSON.stringify(chatLogprobs(news.logprobs)) : "null") +
      `${endOf(choice.end)},"token_ids":${idsOf(news.ids)}}]}\n\n`,
    usageChunk: (usage, metrics) => usageEvent(event, usage, metrics),
    body: (choices, usage, metrics) => ({
      ...head,
      object: "chat.completion",
      choices: choices.map((choice) => chatChoice(choice, request)),
      service_tier: null,
      system_fingerprint: null,
      usage,
      prompt_logprobs: null,
      prompt_token_ids: request.returnTokenIds ? (choices[0]?.promptIds ?? null) : null,
      kv_transfer_params: null,
      ...(metrics === undefined ? {} : { metrics }),
    }),
  };
}

/** Write as `/v1/completions` does. */
export function completionDialect(head: ResponseHead, request: GenerationRequest): Dialect {
  const event = eventHead(head, "text_completion");
  const choiceHead = `${event}"choices":[{"index":`;
  const idsOf = (ids: readonly number[] | null): string =>
    request.returnTokenIds && ids !== null ? JSON.stringify(ids) : "null";
  return {
    opening: () => "",
    chunk: (choice, news, first) =>
      `${choiceHead}${choice.index},"text":${JSON.stringify(news.text)},"logprobs":` +
      (news.logprobs.length > 0
        ? JSON.stringify(completionLogprobs(news.logprobs, news.offset))
        : "null") +
      `${endOf(choice.end)},"prompt_token_ids":${idsOf(first ? choice.promptIds : null)},` +
      `"token_ids":${idsOf(news.ids)}}]}\n\n`,
    usageChunk: (usage, metrics) => usageEvent(event, usage, metrics),
    body: (choices, usage, metrics) => ({
      ...head,
      object: "text_completion",
      choices: choices.map((choice) => completionChoice(choice, request)),
      service_tier: null,
      system_fingerprint: null,
      usage,
      kv_transfer_params: null,
      ...(metrics === undefined ? {} : { metrics }),
    }),
  };
}

/** What a chunk says: text in most, and then cheaply. */
function deltaOf({ text, reasoning, calls }: ChoiceNews): string {
  if (reasoning === "" && calls.length === 0) return `{"content":${JSON.stringify(text)}}`;
  return JSON.stringify({
    ...(reasoning === "" ? {} : { reasoning }),
    ...(text === "" ? {} : { content: text }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(callDelta) }),
  });
}

function callDelta({ index, begin, arguments: text }: CallNews): object {
  if (begin === undefined) return { index, function: { arguments: text } };
  return { index, id: begin.id, type: "function", function: { name: begin.name, arguments: text } };
}

function eventHead(head: ResponseHead, object: string): string {
  const fields = JSON.stringify({ id: head.id, object, created: head.created, model: head.model });
  return `data: ${fields.slice(0, -1)},`;
}

function endOf(end: ChoiceEnd | null): string {
  if (end === null) return `,"finish_reason":null`;
  return `,"finish_reason":"${end.finishReason}","stop_reason":${JSON.stringify(end.stopReason)}`;
}

function usageEvent(event: string, usage: object, metrics: object | null | undefined): string {
  const extra = metrics === undefined ? "" : `,"metrics":${JSON.stringify(metrics)}`;
  return `${event}"choices":[],"usage":${JSON.stringify(usage)}${extra}}\n\n`;
}

function chatChoice(choice: Choice, request: GenerationRequest): object {
  const news = choice.takeNews();
  return {
    index: choice.index,
    message: {
      role: "assistant",
      content: news.calls.length > 0 && news.text === "" ? null : news.text,
      refusal: null,
      annotations: null,
      audio: null,
      function_call: null,
      tool_calls: news.calls.map(wholeCall),
      reasoning: news.reasoning === "" ? null : news.reasoning,
    },
    logprobs: request.topLogprobs === null ? null : chatLogprobs(news.logprobs),
    finish_reason: choice.end?.finishReason ?? null,
    stop_reason: choice.end?.stopReason ?? null,
    token_ids: request.returnTokenIds ? news.ids : null,
  };
}

function wholeCall({ begin, arguments: text }: CallNews): object {
  return { id: begin?.id, type: "function", function: { name: begin?.name, arguments: text } };
}

function completionChoice(choice: Choice, request: GenerationRequest): object {
  const news = choice.takeNews();
  return {
    index: choice.index,
    text: news.text,
    logprobs: request.topLogprobs === null ? null : completionLogprobs(news.logprobs, 0),
    finish_reason: choice.end?.finishReason ?? null,
    stop_reason: choice.end?.stopReason ?? null,
    token_ids: request.returnTokenIds ? news.ids : null,
    prompt_logprobs: null,
    prompt_token_ids: request.returnTokenIds ? choice.promptIds : null,
  };
}
