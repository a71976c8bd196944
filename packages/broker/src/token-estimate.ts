import type { Endpoint, EngineRequest } from "@headrace/contract";

/** What is taken for the truth until an engine has counted. */
export const ESTIMATE = {
  /** Bytes of text that one token stands for: about four of English, and of most else no more. */
  bytesPerToken: 4,
  /** What a chat's template adds to each message: its role and the marks around it. */
  tokensPerMessage: 4,
  /** An image or a sound, whose tokens only the engine can count. */
  tokensPerAttachment: 1_000,
  /** Output of a chat that sets no bound: the engine's own is the model's length. */
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

/**
 * Estimate what a request, which its endpoint's schema has passed, may come to: a quarter of the
 * prompt's bytes, and the output bound of each choice. Reads the request and copies none of it.
 */
export function estimateTokens(endpoint: Endpoint, request: EngineRequest): TokenEstimate {
  switch (endpoint) {
    case "/v1/chat/completions": {
      const bound = numberIn(request, "max_completion_tokens") ?? numberIn(request, "max_tokens");
      return {
        promptTokens: ofMessages(request["messages"]) + ofTools(request["tools"]),
        outputTokens: (bound ?? ESTIMATE.chatTokens) * (numberIn(request, "n") ?? 1),
      };
    }
    case "/v1/completions": {
      const bound = numberIn(request, "max_tokens") ?? ESTIMATE.completionTokens;
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

function numberIn(request: EngineRequest, field: string): number | null {
  const value = request[field];
  return typeof value === "number" ? value : null;
}

function ofMessages(messages: unknown): number {
  return sumOver(
    messages,
    (message) =>
      ESTIMATE.tokensPerMessage + (hasField(message, "content") ? ofContent(message.content) : 0),
  );
}

function ofContent(content: unknown): number {
  if (typeof content === "string") return ofText(content);
  return sumOver(content, (part) =>
    hasField(part, "text") && typeof part.text === "string"
      ? ofText(part.text)
      : ESTIMATE.tokensPerAttachment,
  );
}

/** A chat's template writes tools into the prompt, more or less as they came. */
function ofTools(tools: unknown): number {
  return tools === undefined || tools === null ? 0 : ofText(JSON.stringify(tools));
}

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
