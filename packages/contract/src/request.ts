import { z } from "zod";

/** The engine's endpoints that Headrace queues for. */
export const endpointSchema = z.enum(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]);
export type Endpoint = z.infer<typeof endpointSchema>;

/**
 * Bounds on what one request may ask of a GPU. Unbounded `n` and friends are how one caller took
 * whole vLLM servers down (CVE-2026-34756 and relatives).
 */
export const REQUEST_BOUNDS = {
  modelLength: 256,
  messages: 8_192,
  choices: 16,
  tokens: 1_048_576,
  topLogprobs: 20,
  completionLogprobs: 20,
  promptLogprobs: 20,
  stops: 16,
  stopLength: 1_024,
  prompts: 256,
  embeddingInputs: 2_048,
} as const;

const count = (max: number) => z.int().min(1).max(max).nullish();
const stop = z
  .union([
    z.string().max(REQUEST_BOUNDS.stopLength),
    z.array(z.string().max(REQUEST_BOUNDS.stopLength)).max(REQUEST_BOUNDS.stops),
  ])
  .nullish();
const tokenIds = z.array(z.int().min(0)).min(1);
const model = z.string().min(1).max(REQUEST_BOUNDS.modelLength);

/** What both generation endpoints share. Fields not named here reach the engine as sent. */
const sampling = {
  model,
  n: count(REQUEST_BOUNDS.choices),
  best_of: count(REQUEST_BOUNDS.choices),
  max_tokens: count(REQUEST_BOUNDS.tokens),
  min_tokens: z.int().min(0).max(REQUEST_BOUNDS.tokens).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  seed: z.int().nullish(),
  prompt_logprobs: z.int().min(0).max(REQUEST_BOUNDS.promptLogprobs).nullish(),
  stop,
  /** vLLM's word between engines: with it a caller would have them connect to hosts of its choice. */
  kv_transfer_params: z
    .null("not taken from callers: it tells an engine whom to connect to")
    .optional(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
};

const message = z.looseObject({
  role: z.string().min(1).max(64),
  content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).nullish(),
});

export const chatRequestSchema = z.looseObject({
  ...sampling,
  messages: z.array(message).min(1).max(REQUEST_BOUNDS.messages),
  max_completion_tokens: count(REQUEST_BOUNDS.tokens),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(REQUEST_BOUNDS.topLogprobs).nullish(),
});

export const completionRequestSchema = z.looseObject({
  ...sampling,
  prompt: z.union([
    z.string().min(1),
    z.array(z.string()).min(1).max(REQUEST_BOUNDS.prompts),
    tokenIds,
    z.array(tokenIds).min(1).max(REQUEST_BOUNDS.prompts),
  ]),
  logprobs: z.int().min(0).max(REQUEST_BOUNDS.completionLogprobs).nullish(),
});

export const embeddingRequestSchema = z.looseObject({
  model,
  input: z.union([
    z.string().min(1),
    z.array(z.string()).min(1).max(REQUEST_BOUNDS.embeddingInputs),
    tokenIds,
    z.array(tokenIds).min(1).max(REQUEST_BOUNDS.embeddingInputs),
  ]),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().min(1).max(65_536).nullish(),
});

/** The body each endpoint takes. Headrace bounds it and passes the rest through. */
export const REQUEST_SCHEMAS = {
  "/v1/chat/completions": chatRequestSchema,
  "/v1/completions": completionRequestSchema,
  "/v1/embeddings": embeddingRequestSchema,
} as const satisfies Record<Endpoint, z.ZodType>;

/** A request as the queue carries it: its model, and all the rest for the engine. */
export const engineRequestSchema = z.looseObject({ model });
export type EngineRequest = z.infer<typeof engineRequestSchema>;
