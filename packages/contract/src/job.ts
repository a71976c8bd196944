import { z } from "zod";

import { errorBodySchema } from "./event.ts";
import { endpointSchema, engineRequestSchema } from "./request.ts";
import { usageSchema } from "./usage.ts";
import { webhookUrlSchema } from "./webhook.ts";

export const JOB_STATUSES = [
  "queued",
  "in_progress",
  "completed",
  "failed",
  "cancelled",
  "expired",
] as const;
export const jobStatusSchema = z.enum(JOB_STATUSES);
export type JobStatus = z.infer<typeof jobStatusSchema>;
export type TerminalStatus = Exclude<JobStatus, "queued" | "in_progress">;

/** Whether a job in this state has had its one terminal event. */
export function isTerminal(status: JobStatus): status is TerminalStatus {
  return status !== "queued" && status !== "in_progress";
}

/** Who waits: a person, a program, or nobody in particular. */
export const PRIORITIES = ["interactive", "standard", "batch"] as const;
export const prioritySchema = z.enum(PRIORITIES);
export type Priority = z.infer<typeof prioritySchema>;

/**
 * What a second attempt does to output that readers already have: go on from it where that is
 * exact (else reset), void it, or fail the job instead.
 */
export const ON_RETRY = ["continue", "reset", "fail"] as const;
export const onRetrySchema = z.enum(ON_RETRY);
export type OnRetry = z.infer<typeof onRetrySchema>;

const WEEK_SECONDS = 7 * 24 * 3_600;
const MONTH_SECONDS = 30 * 24 * 3_600;

/** How long a job may wait to start: a second to a week. */
export const deadlineSecondsSchema = z.number().min(1).max(WEEK_SECONDS);
/** How long an ended job is kept: up to 30 days; 0 = gone once delivered. */
export const retentionSecondsSchema = z.number().min(0).max(MONTH_SECONDS);

/** OpenAI's bounds on metadata: 16 pairs, keys to 64 characters, values to 512. */
export const metadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= 16, "expected at most 16 pairs");

/** Body of `POST /v1/jobs`. */
export const submitSchema = z.strictObject({
  endpoint: endpointSchema,
  /** Validated again by the endpoint's own schema. */
  request: engineRequestSchema,
  priority: prioritySchema.optional(),
  deadline_seconds: deadlineSecondsSchema.optional(),
  on_retry: onRetrySchema.optional(),
  retention_seconds: retentionSecondsSchema.optional(),
  metadata: metadataSchema.optional(),
  webhook: webhookUrlSchema.optional(),
});
export type Submit = z.infer<typeof submitSchema>;

/** Why a queued job is not running yet. */
export const WAITING_REASONS = ["backlog", "no_worker", "dispatching"] as const;

/** A job as the API shows it. Instants are Unix seconds. */
export const jobSchema = z.object({
  id: z.string(),
  object: z.literal("job"),
  status: jobStatusSchema,
  endpoint: endpointSchema,
  model: z.string(),
  priority: prioritySchema,
  on_retry: onRetrySchema,
  metadata: z.record(z.string(), z.string()),
  created_at: z.number(),
  started_at: z.number().nullable(),
  ended_at: z.number().nullable(),
  /** When a job that has not started expires. */
  deadline_at: z.number(),
  /** When an ended job is forgotten; null while it is open. */
  expires_at: z.number().nullable(),
  attempts: z.int().min(0),
  waiting_reason: z.enum(WAITING_REASONS).nullable(),
  /** Jobs before this one, 0 = next; null unless queued. */
  queue_position: z.int().min(0).nullable(),
  /** Seconds until it starts at the present drain rate; null when there is no rate to judge by. */
  eta_seconds: z.number().min(0).nullable(),
  /** The engine's response body, once completed. */
  result: z.looseObject({}).nullable(),
  error: errorBodySchema.nullable(),
  usage: usageSchema.nullable(),
  /** The ended job that this one runs again. */
  retry_of: z.string().nullable(),
  /** Where its end is told. */
  webhook: z.string().nullable(),
  status_url: z.string(),
  events_url: z.string(),
  cancel_url: z.string(),
});
export type Job = z.infer<typeof jobSchema>;

/** A page of jobs, newest first. */
export const jobListSchema = z.object({
  object: z.literal("list"),
  data: z.array(jobSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type JobList = z.infer<typeof jobListSchema>;

/** Answer of `DELETE /v1/jobs/{id}`. */
export const jobDeletedSchema = z.object({
  id: z.string(),
  object: z.literal("job"),
  deleted: z.literal(true),
});
export type JobDeleted = z.infer<typeof jobDeletedSchema>;
