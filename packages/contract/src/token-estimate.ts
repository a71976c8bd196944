import type { Endpoint, EngineRequest } from "./request.ts";

/** What is taken for the truth until an engine has counted. */
export const ESTIMATE = {
  /** Bytes of text that one token stands for: about four of English, and of most else no more. */
  bytesPerToken: 4,
  /** What a chat's template adds to each message: its role and the marks around it. */
  tokensPerMessage: 4,
  /** An image or a sound, whose tokens only the engine can count. */
  tokensPerAttachment: 1_000,
  /** Output of a chat that sets no bound, while it is not known what such chats of its model take. */
  chatTokens: 1_024,
  /** OpenAI's and vLLM's bound on a completion that sets none. */
  completionTokens: 16,
} as const;

/** How many tokens a request may come to, before any engine has seen it. */
export interface TokenEstimate {
  readonly promptTokens: number;
  /** Most that may be generated, over all choices. */
  readonly outputTokens: number;
}

/** What is known of the model that a request is for. */
export interface ModelExtent {
  /** Most tokens of prompt and output together; null where the engine does not say. */
  readonly maxModelLength: number | null;
  /** What chats took lately that set no bound, in tokens of output; null before any is known. */
  readonly typicalOutput: number | null;
}

const UNKNOWN: ModelExtent = { maxModelLength: null, typicalOutput: null };

/** Where a chat may say what its output must look like: an engine has to read that, too. */
const FORMATS = [
  "response_format",
  "structured_outputs",
  "guided_json",
  "guided_regex",
  "guided_grammar",
  "guided_choice",
] as const;

/**
 * Estimate what a request, which its endpoint's schema has passed, may come to: a quarter of the bytes
 * of all that a template may write into the prompt, and the output bound of each choice. A chat that
 * sets none may go on to the model's length, but hardly any does: it is taken to be like others. Reads
 * the request and copies none of it.
 */
export function estimateTokens(
  endpoint: Endpoint,
  request: EngineRequest,
  model: ModelExtent = UNKNOWN,
): TokenEstimate {
  switch (endpoint) {
    case "/v1/chat/completions": {
      const format = FORMATS.reduce((sum, field) => sum + ofStructure(request[field]), 0);
      const promptTokens = ofMessages(request["messages"]) + ofStructure(request["tools"]) + format;
      const bound = boundOf(request, typicalOf(model, promptTokens));
      return { promptTokens, outputTokens: bound * (numberIn(request, "n") ?? 1) };
    }
    case "/v1/completions": {
      const bound = boundOf(request, ESTIMATE.completionTokens);
      const choices = Math.max(numberIn(request, "n") ?? 1, numberIn(request, "best_of") ?? 1);
      const prompt = request["prompt"];
      return {
        promptTokens: ofPrompt(prompt),
        outputTokens: bound * choices * countPrompts(prompt),
      };
    }
    case "/v1/embeddings":
      return { promptTokens: ofPrompt(request["input"]), outputTokens: 0 };
  }
}

/** Whether a request says itself where its output ends at the latest. */
export function hasBound(endpoint: Endpoint, request: EngineRequest): boolean {
  const isChat = endpoint === "/v1/chat/completions";
  return !isChat || boundOf(request, Number.POSITIVE_INFINITY) !== Number.POSITIVE_INFINITY;
}

function typicalOf({ maxModelLength, typicalOutput }: ModelExtent, promptTokens: number): number {
  const left = maxModelLength === null ? Number.POSITIVE_INFINITY : maxModelLength - promptTokens;
  return Math.max(1, Math.min(typicalOutput ?? ESTIMATE.chatTokens, left));
}

function numberIn(request: EngineRequest, field: string): number | null {
  const value = request[field];
  return typeof value === "number" ? value : null;
}

/** The largest that is named: engines differ in which of two bounds they heed. */
function boundOf(request: EngineRequest, unbounded: number): number {
  const newer = numberIn(request, "max_completion_tokens");
  const older = numberIn(request, "max_tokens");
  const most = newer === null && older === null ? unbounded : Math.max(newer ?? 0, older ?? 0);
  return Math.max(most, numberIn(request, "min_tokens") ?? 0);
}

/** A template may write what else a message has, such as its calls of tools. */
function ofMessages(messages: unknown): number {
  return sumOver(messages, (message) => {
    let tokens: number = ESTIMATE.tokensPerMessage;
    if (typeof message !== "object" || message === null) return tokens;
    for (const [name, value] of Object.entries(message)) {
      if (name === "content") tokens += ofContent(value);
      else if (name !== "role") tokens += ofStructure(value);
    }
    return tokens;
  });
}

function ofContent(content: unknown): number {
  if (typeof content === "string") return ofText(content);
  return sumOver(content, (part) => {
    const text = hasField(part, "text") && typeof part.text === "string" ? ofText(part.text) : 0;
    const isText = hasField(part, "type") && TEXT_PARTS.has(part.type);
    return isText ? text : text + ESTIMATE.tokensPerAttachment;
  });
}

const TEXT_PARTS: ReadonlySet<unknown> = new Set(["text", "refusal"]);

/** A chat's template writes a structure into the prompt more or less as it came. */
function ofStructure(value: unknown): number {
  return Math.ceil(bytesOf(value) / ESTIMATE.bytesPerToken);
}

/** Bytes of a structure's names and values, nearly as JSON writes them. */
function bytesOf(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value) + QUOTES;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + bytesOf(item) + 1, 1);
  if (typeof value === "number" || typeof value === "boolean") return String(value).length;
  if (typeof value !== "object" || value === null) return 0;
  let bytes = 1;
  for (const [name, field] of Object.entries(value))
    bytes += name.length + QUOTES + 2 + bytesOf(field);
  return bytes;
}

const QUOTES = 2;

/** Text, token ids, or a list of either. */
function ofPrompt(prompt: unknown): number {
  if (typeof prompt === "string") return ofText(prompt);
  if (Array.isArray(prompt) && typeof prompt[0] === "number") return prompt.length;
  return sumOver(prompt, ofPrompt);
}

function countPrompts(prompt: unknown): number {
  return Array.isArray(prompt) && typeof prompt[0] !== "number" ? prompt.length : 1;
}

function sumOver(list: unknown, tokensOf: (item: unknown) => number): number {
  let sum = 0;
  if (Array.isArray(list)) for (const item of list) sum += tokensOf(item);
  return sum;
}

function hasField<Name extends string>(
  value: unknown,
  name: Name,
): value is Readonly<Record<Name, unknown>> {
  return typeof value === "object" && value !== null && name in value;
}

function ofText(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / ESTIMATE.bytesPerToken);
}
