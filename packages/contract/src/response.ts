import { z } from "zod";

/** What a job that `POST /v1/responses` made must know to be shown as a response. */
export const responseSpecSchema = z.object({
  /** Whether it lives on without its caller. */
  is_background: z.boolean(),
  /** Whether it can be read once it was answered. */
  is_stored: z.boolean(),
  /** Whether the first message of the job's request is the caller's `instructions`. */
  has_instructions: z.boolean(),
  /** Fields that the response shows as they were sent, and that the job's request lacks. */
  echo: z.looseObject({}),
});
export type ResponseSpec = z.infer<typeof responseSpecSchema>;

export const RESPONSE_STATUSES = [
  "queued",
  "in_progress",
  "completed",
  "incomplete",
  "failed",
  "cancelled",
] as const;

const tokenCount = z.int().min(0);

/** Token counts in the words of the Responses API. */
export const responseUsageSchema = z.object({
  input_tokens: tokenCount,
  input_tokens_details: z.object({ cached_tokens: tokenCount, cache_write_tokens: tokenCount }),
  output_tokens: tokenCount,
  output_tokens_details: z.object({ reasoning_tokens: tokenCount }),
  total_tokens: tokenCount,
});
export type ResponseUsage = z.infer<typeof responseUsageSchema>;

/** Something that was said: a message, reasoning, a function call or its output. */
export const responseItemSchema = z.looseObject({ type: z.string(), id: z.string() });
export type ResponseItem = z.infer<typeof responseItemSchema>;

/** A response as OpenAI's API shows it. Instants are whole Unix seconds. */
export const responseSchema = z.looseObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int(),
  status: z.enum(RESPONSE_STATUSES),
  background: z.boolean(),
  completed_at: z.int().nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
  incomplete_details: z
    .object({ reason: z.enum(["max_output_tokens", "content_filter"]) })
    .nullable(),
  instructions: z.string().nullable(),
  max_output_tokens: z.int().nullable(),
  model: z.string(),
  /** Items of type `message`, `reasoning` and `function_call`. */
  output: z.array(responseItemSchema),
  store: z.boolean(),
  usage: responseUsageSchema.nullable(),
  metadata: z.record(z.string(), z.string()),
});
export type Response = z.infer<typeof responseSchema>;

/** A page of what a response was asked: `GET /v1/responses/{id}/input_items`. */
export const responseItemListSchema = z.object({
  object: z.literal("list"),
  data: z.array(responseItemSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type ResponseItemList = z.infer<typeof responseItemListSchema>;

/** Answer of `DELETE /v1/responses/{id}`. */
export const responseDeletedSchema = z.object({
  id: z.string(),
  object: z.literal("response"),
  deleted: z.literal(true),
});
export type ResponseDeleted = z.infer<typeof responseDeletedSchema>;
