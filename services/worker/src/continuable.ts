import type { JobSpec } from "@headrace/contract";
import { z } from "zod";

import { limitsSchema } from "./limits.ts";

/** Sampling fields that mean the same to a completion of ids as to the request they came with. */
const CARRIED: ReadonlySet<string> = new Set([
  "model",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "repetition_penalty",
  "seed",
  "logit_bias",
  "allowed_token_ids",
  "stop_token_ids",
  "ignore_eos",
  "skip_special_tokens",
  "spaces_between_special_tokens",
  "cache_salt",
  "user",
]);

/** Fields that are counted down or applied by the worker, and those that say how to answer. */
const HANDLED: ReadonlySet<string> = new Set([
  "max_tokens",
  "max_completion_tokens",
  "min_tokens",
  "stop",
  "include_stop_str_in_output",
  "stream",
  "stream_options",
  "return_token_ids",
  "metadata",
  "store",
  "service_tier",
  "priority",
]);

/** Fields that only shape the prompt, whose ids are kept. */
const SHAPING: ReadonlySet<string> = new Set([
  "add_generation_prompt",
  "add_special_tokens",
  "chat_template",
  "chat_template_kwargs",
  "continue_final_message",
  "documents",
  "reasoning_effort",
]);

const textMessages = z.array(
  z.looseObject({
    content: z.union([z.string(), z.array(z.looseObject({ type: z.literal("text") }))]).nullish(),
  }),
);
const onePrompt = z.union([
  z.string(),
  z.array(z.int()),
  z.tuple([z.union([z.string(), z.array(z.int())])]),
]);

/** Fields that stand in the way unless they have these values. */
const NEUTRAL: Readonly<Partial<Record<string, z.ZodType>>> = {
  messages: textMessages,
  prompt: onePrompt,
  n: z.literal(1),
  best_of: z.literal(1),
  // To a completion 0 is a number of alternatives, to a chat without `logprobs` nothing.
  logprobs: z.literal(false),
  top_logprobs: z.literal(0),
  presence_penalty: z.literal(0),
  frequency_penalty: z.literal(0),
  tools: z.tuple([]),
  tool_choice: z.literal(["none", "auto"]),
  response_format: z.looseObject({ type: z.literal("text") }),
  echo: z.literal(false),
};

/**
 * Whether a job that breaks off can be gone on with, as if it had not been: what its next tokens are
 * depends on the ids before them alone, and its text on their text.
 *
 * A field that is not known here stands in the way: what it does to the rest cannot be known either.
 */
export function isContinuable({ endpoint, on_retry: onRetry, request }: JobSpec): boolean {
  if (endpoint === "/v1/embeddings" || onRetry !== "continue") return false;
  // Where tokens are drawn by a seed, the draws before the break would be repeated after it.
  if ((request["seed"] ?? null) !== null && request["temperature"] !== 0) return false;
  // The engine may take more for a limit than the worker can count down.
  if (!limitsSchema.safeParse(request).success) return false;
  return Object.entries(request).every(([name, value]) => isHarmless(name, value));
}

/** The fields of a request that its continuation takes over unchanged. */
export function carriedFields(request: JobSpec["request"]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(request).filter(([name]) => CARRIED.has(name)));
}

function isHarmless(name: string, value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (CARRIED.has(name) || HANDLED.has(name) || SHAPING.has(name)) return true;
  return Object.hasOwn(NEUTRAL, name) && NEUTRAL[name]?.safeParse(value).success === true;
}
