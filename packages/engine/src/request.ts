/** One generation for the engine. */
export interface EngineRequest {
  readonly endpoint: "/v1/chat/completions" | "/v1/completions";
  /** The request as the user sent it. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Sent as `x-request-id`, to find the job in the engine's own log. */
  readonly requestId: string;
  /**
   * Ask for the ids of prompt and output, and hand them over apart from the choices. These keep
   * their own only where the body itself asks for them. For one prompt with one choice.
   */
  readonly wantsTokenIds?: boolean;
  /**
   * vLLM's `priority`: lower is sooner, 0 is what it takes where nothing is said. A `priority` in the
   * body is not sent: callers could put themselves before others with it.
   */
  readonly priority?: number;
  /** W3C trace context that the engine's spans continue. */
  readonly traceparent?: string;
}

/** One request that is answered whole. */
export interface EngineCall extends Omit<EngineRequest, "endpoint"> {
  readonly endpoint: "/v1/embeddings";
}

/**
 * The user's request, made to stream, to end with its token counts, and to tell token ids where they
 * are wanted; all else passes untouched. vLLM's per-request metrics ride on the chunk with the counts.
 */
export function streamingBody({ body, wantsTokenIds = false, priority }: EngineRequest): string {
  const { stream_options: options } = body;
  const own = typeof options === "object" && options !== null ? options : {};
  return JSON.stringify({
    ...withPriority(body, priority),
    stream: true,
    stream_options: { ...own, include_usage: true },
    ...(wantsTokenIds ? { return_token_ids: true } : {}),
  });
}

/** Put our priority in the place of the caller's; none where it would say nothing. */
export function withPriority(
  { priority: _own, ...body }: Readonly<Record<string, unknown>>,
  priority = 0,
): Readonly<Record<string, unknown>> {
  return priority === 0 ? body : { ...body, priority };
}

/** What becomes of token ids: left where the engine puts them, copied, or taken out. */
export function tokenIdsMode({ body, wantsTokenIds = false }: EngineRequest): TokenIdsMode {
  if (!wantsTokenIds) return "untouched";
  return body["return_token_ids"] === true ? "copied" : "taken";
}

export type TokenIdsMode = "untouched" | "copied" | "taken";

/** How many choices the answer must have: `n` for each prompt (completions take several). */
export function countChoices({ endpoint, body }: EngineRequest): number {
  const { n, prompt } = body;
  const choicesPerPrompt = typeof n === "number" ? n : 1;
  return endpoint === "/v1/completions"
    ? choicesPerPrompt * countPrompts(prompt)
    : choicesPerPrompt;
}

/** A list of numbers is one prompt, given as token ids. */
function countPrompts(prompt: unknown): number {
  return Array.isArray(prompt) && typeof prompt[0] !== "number" ? prompt.length : 1;
}
