import { ApiError } from "./api-error.ts";
import type { Fault } from "./faults.ts";
import { chatPromptIds, tokenize } from "./language.ts";
import type { StopRules } from "./output-text.ts";
import { planReply, type ReplyPlan } from "./reply-plan.ts";
import type { ChatBody, CompletionBody, PromptBody } from "./request-schemas.ts";

/** vLLM's default of `max_tokens` for `/v1/completions`. */
const COMPLETION_MAX_TOKENS = 16;

/** A chat or completion request, in one form. */
export interface GenerationRequest {
  readonly kind: "chat" | "completion";
  readonly requestId: string | null;
  readonly prompts: readonly (readonly number[])[];
  /** Choices per prompt. */
  readonly n: number;
  /** Most tokens per choice, by prompt. */
  readonly maxTokens: readonly number[];
  readonly seed: number;
  readonly ignoreEos: boolean;
  readonly stopTokenIds: readonly number[];
  readonly stopRules: StopRules;
  readonly priority: number;
  /** How many alternatives to name per token; `null` for no log probabilities at all. */
  readonly topLogprobs: number | null;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly returnTokenIds: boolean;
  readonly faults: readonly Fault[];
  /** How to answer where not by prose alone. */
  readonly plan: ReplyPlan | null;
}

/** Understand a chat body for a model of `maxModelLen` tokens. Throws `ApiError` 400. */
export function chatRequest(body: ChatBody, maxModelLen: number): GenerationRequest {
  const plan = planReply(body);
  const prompts = [chatPromptIds(body.messages, body.tool_choice === "none" ? null : body.tools)];
  const maxTokens = body.max_completion_tokens ?? body.max_tokens ?? null;
  return {
    ...common(body),
    kind: "chat",
    plan,
    prompts,
    maxTokens: prompts.map((ids) => fit(ids.length, maxTokens, maxModelLen)),
    topLogprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : null,
  };
}

/** Understand a completion body for a model of `maxModelLen` tokens. Throws `ApiError` 400. */
export function completionRequest(body: CompletionBody, maxModelLen: number): GenerationRequest {
  if (body.echo === true) {
    throw new ApiError(400, "echo is not supported by this engine.", { param: "echo" });
  }
  const prompts = promptIds(body.prompt);
  const maxTokens = body.max_tokens ?? COMPLETION_MAX_TOKENS;
  return {
    ...common(body),
    kind: "completion",
    plan: null,
    prompts,
    maxTokens: prompts.map((ids) => fit(ids.length, maxTokens, maxModelLen)),
    topLogprobs: body.logprobs ?? null,
  };
}

/** Give the ids of each prompt of a body. */
export function promptIds(prompt: PromptBody): readonly (readonly number[])[] {
  if (typeof prompt === "string") return [tokenize(prompt)];
  const ids: number[] = [];
  const prompts: (readonly number[])[] = [];
  for (const item of prompt) {
    if (typeof item === "number") ids.push(item);
    else prompts.push(typeof item === "string" ? tokenize(item) : item);
  }
  return ids.length > 0 ? [ids] : prompts;
}

type CommonFields = "kind" | "plan" | "prompts" | "maxTokens" | "topLogprobs";

function common(body: ChatBody | CompletionBody): Omit<GenerationRequest, CommonFields> {
  const stream = body.stream === true;
  if (!stream && body.stream_options !== null && body.stream_options !== undefined) {
    throw new ApiError(400, "Stream options can only be defined when `stream=True`.", {
      param: "stream_options",
    });
  }
  const stop = typeof body.stop === "string" ? [body.stop] : (body.stop ?? []);
  return {
    requestId: body.request_id ?? null,
    n: body.n ?? 1,
    seed: body.seed ?? 0,
    ignoreEos: body.ignore_eos === true,
    stopTokenIds: body.stop_token_ids ?? [],
    stopRules: {
      stop: stop.filter((text) => text !== ""),
      minTokens: body.min_tokens ?? 0,
      includeStop: body.include_stop_str_in_output === true,
    },
    priority: body.priority,
    stream,
    includeUsage: body.stream_options?.include_usage === true,
    returnTokenIds: body.return_token_ids === true,
    faults: faultList(body.headrace_fault),
  };
}

/** Give the faults a body asks for. */
export function faultList(requested: Fault | readonly Fault[] | undefined): readonly Fault[] {
  if (requested === undefined) return [];
  return "kind" in requested ? [requested] : requested;
}

/** Most tokens to generate, refusing in vLLM's words what the model has no room for. */
function fit(promptTokens: number, maxTokens: number | null, maxModelLen: number): number {
  requirePromptFits(promptTokens, maxModelLen);
  const room = maxModelLen - promptTokens;
  if (maxTokens === null) return room;
  if (maxTokens <= room) return maxTokens;
  throw new ApiError(
    400,
    `This model's maximum context length is ${maxModelLen} tokens. However, you requested ` +
      `${maxTokens} output tokens and your prompt contains at least ${promptTokens} input tokens, ` +
      `for a total of at least ${promptTokens + maxTokens} tokens. Please reduce the length of the ` +
      `input prompt or the number of requested output tokens. ` +
      `(parameter=input_tokens, value=${promptTokens})`,
    { param: "input_tokens" },
  );
}

/** Refuse, in vLLM's words, a prompt that leaves no room for one token more. */
export function requirePromptFits(promptTokens: number, maxModelLen: number): void {
  if (promptTokens === 0) {
    throw new ApiError(400, "The prompt cannot be empty.", { param: "prompt" });
  }
  if (promptTokens < maxModelLen) return;
  throw new ApiError(
    400,
    `This model's maximum context length is ${maxModelLen} tokens. However, your request has ` +
      `${promptTokens} input tokens. Please reduce the length of the input messages. ` +
      `(parameter=input_tokens, value=${promptTokens})`,
    { param: "input_tokens" },
  );
}
