import { z } from "zod";

import { ERRORS, type PlatformError } from "./error.ts";
import { latencySchema } from "./stage.ts";
import { usageSchema } from "./usage.ts";

/** An error as every body and event carries it: OpenAI's shape. */
export const errorBodySchema = z.object({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: z.string(),
});
export type ErrorBody = z.infer<typeof errorBodySchema>;

/** Write a platform error the way the API shows it. */
export function toErrorBody(error: PlatformError): ErrorBody {
  const { type } = ERRORS[error.code];
  return { message: error.message, type, param: error.param, code: error.code };
}

/** Why a new attempt began. */
export const ATTEMPT_REASONS = [
  "first",
  "handed_back",
  "engine_error",
  "worker_lost",
  "log_lost",
  "cannot_continue",
] as const;

/**
 * One choice of an engine's streaming chunk, unchanged: content, reasoning, tool calls, logprobs
 * and whatever else this engine says.
 */
export const choiceDeltaSchema = z.looseObject({
  index: z.int().min(0),
  finish_reason: z.string().nullish(),
  /** Chat. */
  delta: z.looseObject({}).optional(),
  /** Completions. */
  text: z.string().optional(),
});
export type ChoiceDelta = z.infer<typeof choiceDeltaSchema>;

const ended = { job: z.string(), usage: usageSchema.nullable(), latency: latencySchema };

/** What a reader of `/v1/jobs/{id}/events` receives. Exactly one terminal event, always last. */
export const jobEventSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("job.queued"),
    job: z.string(),
    queue_position: z.int().nullable(),
    eta_seconds: z.number().nullable(),
  }),
  z.object({
    type: z.literal("attempt.started"),
    epoch: z.int().min(1),
    reason: z.enum(ATTEMPT_REASONS),
    /** How many output events of earlier attempts still stand before this attempt's own. */
    from: z.int().min(0),
    /** When true, everything shown before this event is void. */
    reset: z.boolean(),
  }),
  z.object({
    type: z.literal("output.delta"),
    choices: z.array(choiceDeltaSchema).optional(),
    /** Embeddings, whole. */
    data: z.array(z.looseObject({})).optional(),
  }),
  z.object({ type: z.literal("job.completed"), ...ended }),
  z.object({ type: z.literal("job.failed"), ...ended, error: errorBodySchema }),
  z.object({ type: z.literal("job.cancelled"), ...ended }),
  z.object({ type: z.literal("job.expired"), ...ended, error: errorBodySchema }),
]);
export type JobEvent = z.infer<typeof jobEventSchema>;
