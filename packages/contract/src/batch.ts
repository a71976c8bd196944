import { z } from "zod";

import { completionWindowSchema } from "./completion-window.ts";
import { fileExpirySchema } from "./file.ts";
import { metadataSchema } from "./job.ts";
import { ALPHABET, randomText } from "./random-text.ts";
import { endpointSchema } from "./request.ts";

/** 26 characters of 5 bits hold the 128 random bits. */
const CODE_LENGTH = 26;
const ID_BYTES = 16;
const LONGEST_ID = 256;

/** `batch_<128 random bits>`. */
export const batchIdSchema = z
  .string()
  .regex(new RegExp(`^batch_[${ALPHABET}]{${CODE_LENGTH}}$`), "expected batch_<26 characters>")
  .brand("BatchId");
export type BatchId = z.infer<typeof batchIdSchema>;

/** Make an id that nobody can guess. */
export function newBatchId(): BatchId {
  return batchIdSchema.parse(`batch_${randomText(ID_BYTES)}`);
}

/** Read an id that came from outside. @returns null when it cannot be one */
export function findBatchId(text: unknown): BatchId | null {
  const parsed = batchIdSchema.safeParse(text);
  return parsed.success ? parsed.data : null;
}

/** What the lines of a batch may ask for: one endpoint a batch. */
export const BATCH_ENDPOINTS = [...endpointSchema.options, "/v1/responses"] as const;
export const batchEndpointSchema = z.enum(BATCH_ENDPOINTS);
export type BatchEndpoint = z.infer<typeof batchEndpointSchema>;

/**
 * OpenAI's statuses. `validating → in_progress → finalizing → completed`; `failed` when the file is
 * not what it should be; `expired` at the end of the window, with what is done in the files;
 * `cancelling → cancelled` when asked to, likewise.
 */
export const BATCH_STATUSES = [
  "validating",
  "in_progress",
  "finalizing",
  "completed",
  "failed",
  "expired",
  "cancelling",
  "cancelled",
] as const;
export const batchStatusSchema = z.enum(BATCH_STATUSES);
export type BatchStatus = z.infer<typeof batchStatusSchema>;

/** The last status of a batch: it never changes again. */
export const TERMINAL_BATCH_STATUSES = ["completed", "failed", "expired", "cancelled"] as const;
export const terminalBatchStatusSchema = z.enum(TERMINAL_BATCH_STATUSES);
export type TerminalBatchStatus = z.infer<typeof terminalBatchStatusSchema>;

/** Whether a batch in this status has ended. */
export function isTerminalBatch(status: BatchStatus): status is TerminalBatchStatus {
  return terminalBatchStatusSchema.safeParse(status).success;
}

/** Body of `POST /v1/batches`. */
export const batchFormSchema = z.strictObject({
  /** One that does not exist is told as such, whatever it looks like. */
  input_file_id: z.string().min(1).max(LONGEST_ID),
  endpoint: batchEndpointSchema,
  completion_window: completionWindowSchema,
  metadata: metadataSchema.nullish(),
  output_expires_after: fileExpirySchema.nullish(),
});
export type BatchForm = z.input<typeof batchFormSchema>;

/** Most of a file's faults that are told: whoever has more has the same one many times. */
export const MOST_BATCH_ERRORS = 100;
const LONGEST_ERROR_MESSAGE = 1_000;

/** What keeps a whole batch from being run: a fault of its file, with the line where there is one. */
export const batchErrorSchema = z.object({
  code: z.string(),
  /** From 1; null when it is not about one line. */
  line: z.int().min(1).nullable(),
  message: z.string().max(LONGEST_ERROR_MESSAGE),
  param: z.string().nullable(),
});
export type BatchError = z.infer<typeof batchErrorSchema>;

/** How many lines a batch has, and how many of them have their answer, or none for good. */
export const batchCountsSchema = z.object({
  total: z.int().min(0),
  completed: z.int().min(0),
  failed: z.int().min(0),
});
export type BatchCounts = z.infer<typeof batchCountsSchema>;

/** Tokens of all lines so far, in OpenAI's words for a batch. */
export const batchUsageSchema = z.object({
  input_tokens: z.int().min(0),
  input_tokens_details: z.object({ cached_tokens: z.int().min(0) }),
  output_tokens: z.int().min(0),
  output_tokens_details: z.object({ reasoning_tokens: z.int().min(0) }),
  total_tokens: z.int().min(0),
});
export type BatchUsage = z.infer<typeof batchUsageSchema>;

/** What keeps a running batch from being faster. */
export const BATCH_BOTTLENECKS = [
  /** Its file is being read and checked. */
  "validation",
  /** The engines are as full as they go: more workers would help. */
  "engine",
  /** Others' work is more urgent, or it is their turn. */
  "queue",
  /** No worker serves its model. */
  "workers",
  /** Lines are tried again, after failures of engines. */
  "retries",
  /** What is to be read or written takes longer than what is generated. */
  "storage",
  /** Its output is put together. */
  "assembly",
] as const;
export const batchBottleneckSchema = z.enum(BATCH_BOTTLENECKS);
export type BatchBottleneck = z.infer<typeof batchBottleneckSchema>;

/** Without what a batch cannot go on; it does by itself once that is there. */
export const BATCH_WAITS = [
  /** No batcher has it: none runs, or all have as many as they can. */
  "batcher",
  /** Storage does not answer. */
  "storage",
  /** Storage has no room. */
  "storage_space",
  /** No worker serves its model. */
  "workers",
  /** The queue does not answer, or is full. */
  "queue",
] as const;
export const batchWaitSchema = z.enum(BATCH_WAITS);
export type BatchWait = z.infer<typeof batchWaitSchema>;

/** How a batch gets on: Headrace's own, beside OpenAI's fields. Null = not known, or none. */
export const batchProgressSchema = z.object({
  /** Prompts and outputs together, so far. */
  tokens: z.int().min(0),
  tokens_per_second: z.number().min(0).nullable(),
  lines_per_second: z.number().min(0).nullable(),
  /** Until it is done, as things go. */
  eta_seconds: z.number().min(0).nullable(),
  /** So far, in the operator's currency; null where no price is set. */
  cost: z.number().min(0).nullable(),
  bottleneck: batchBottleneckSchema.nullable(),
  waiting_for: batchWaitSchema.nullable(),
});
export type BatchProgress = z.infer<typeof batchProgressSchema>;

const instant = z.int().nullable();

/** A batch as the API shows it: OpenAI's shape, and `progress`. Instants are Unix seconds. */
export const batchSchema = z.object({
  id: z.string(),
  object: z.literal("batch"),
  endpoint: batchEndpointSchema,
  /** Null until the file has been read. */
  model: z.string().nullable(),
  errors: z.object({ object: z.literal("list"), data: z.array(batchErrorSchema) }).nullable(),
  input_file_id: z.string(),
  completion_window: z.string(),
  status: batchStatusSchema,
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  created_at: z.int(),
  in_progress_at: instant,
  /** The end of the window: what is not done by then is not done at all. */
  expires_at: z.int(),
  finalizing_at: instant,
  completed_at: instant,
  failed_at: instant,
  expired_at: instant,
  cancelling_at: instant,
  cancelled_at: instant,
  request_counts: batchCountsSchema,
  usage: batchUsageSchema.nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
  progress: batchProgressSchema,
});
export type Batch = z.infer<typeof batchSchema>;

/** A page of batches, newest first. */
export const batchListSchema = z.object({
  object: z.literal("list"),
  data: z.array(batchSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type BatchList = z.infer<typeof batchListSchema>;
