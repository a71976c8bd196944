import { z } from "zod";

/** Tokens of an answer whose caller does not say, as the servers this stands in for choose. */
const DEFAULT_MAX_TOKENS = 256;
const MOST_TOKENS = 1_048_576;
const LONGEST_MODEL_NAME = 256;
const LONGEST_STOP = 1_024;
const MOST_STOPS = 16;

const stop = z.string().max(LONGEST_STOP);

/** Body of `POST /generate`. Fields not named here are ignored, as a FastAPI model ignores them. */
export const generateRequestSchema = z.object({
  prompt: z.string().min(1),
  max_tokens: z.int().min(1).max(MOST_TOKENS).default(DEFAULT_MAX_TOKENS),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  stop: z.union([stop, z.array(stop).max(MOST_STOPS)]).nullish(),
  seed: z.int().nullish(),
  stream: z.boolean().default(false),
  /** Of several that are served. */
  model: z.string().min(1).max(LONGEST_MODEL_NAME).nullish(),
});
export type GenerateRequest = z.infer<typeof generateRequestSchema>;

/** What a generation came to, beside its text. */
const generateSummarySchema = z.object({
  model: z.string(),
  finish_reason: z.string().nullable(),
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  /** From the request's arrival to its first token. */
  ttft_seconds: z.number().nullable(),
  /** Between one token and the next. */
  tpot_seconds: z.number().nullable(),
  /** From the request's arrival to the end of the generation. */
  total_seconds: z.number(),
});
export type GenerateSummary = z.infer<typeof generateSummarySchema>;

/** Answer of `POST /generate`. */
export const generateResponseSchema = z.object({
  text: z.string(),
  ...generateSummarySchema.shape,
});

/** Answer of `GET /health`. */
export const plainHealthSchema = z.object({
  status: z.enum(["healthy", "unhealthy"]),
  /** Null where there are several, and none is the default. */
  model: z.string().nullable(),
  /** Whether a worker serves it now. Without one, calls wait in the queue. */
  model_loaded: z.boolean(),
});

/** Answer of `GET /model/info`. */
export const modelInfoSchema = z.object({
  model_name: z.string(),
  /** Tokens of prompt and answer together; null where the engine does not say. */
  max_model_len: z.int().nullable(),
  loaded: z.boolean(),
  /** Live workers, each beside one engine. */
  workers: z.int(),
  /** What the engines are: `vllm 0.19.0`. */
  engines: z.array(z.string()),
});

/** FastAPI's answer to a request that is not valid. */
export const validationErrorSchema = z.object({
  detail: z.array(
    z.object({
      loc: z.array(z.union([z.string(), z.int()])),
      msg: z.string(),
      type: z.string(),
    }),
  ),
});
export type ValidationError = z.infer<typeof validationErrorSchema>;
