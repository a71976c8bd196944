import { z } from "zod";

import { errorBodySchema } from "./event.ts";
import { usageSchema } from "./usage.ts";

/**
 * What the worker's own clock says about its part of an attempt, in ms. The engine's queue time is
 * null when the engine does not report it.
 */
export const timingsSchema = z.object({
  /** From the claim to the request's last byte on its way to the engine. */
  dispatch_ms: z.number().min(0),
  /** From the request sent to the first token. */
  first_token_ms: z.number().min(0).nullable(),
  /** Of that, waiting inside the engine. */
  engine_queue_ms: z.number().min(0).nullable(),
  /** First token to last. */
  decode_ms: z.number().min(0).nullable(),
});
export type Timings = z.infer<typeof timingsSchema>;

/** How a job ended, in the words of whoever ended it. */
export const outcomeSchema = z.object({
  /** A code alone when a script ended the job: its message is made by whoever reads it. */
  error: z.union([errorBodySchema, z.string()]).optional(),
  usage: usageSchema.nullable().optional(),
  timings: timingsSchema.optional(),
  /** The job's share of the GPU's time, ms: what its engine was busy for, over the jobs it had. */
  gpu_ms: z.number().min(0).optional(),
  /** The engine's own name for the response, for its logs. */
  engine_id: z.string().optional(),
  /** Why the engine ended the first choice: `stop`, `length`, `tool_calls`. */
  finish_reason: z.string().optional(),
});
export type Outcome = z.infer<typeof outcomeSchema>;

/**
 * The data of a job's terminal log entry. Instants are Redis' clock, ms since the epoch with
 * microseconds as fractions; a job that never got that far lacks them.
 */
export const jobEndSchema = z.object({
  at: z.object({
    accepted: z.number(),
    first_claimed: z.number().optional(),
    claimed: z.number().optional(),
    first_token: z.number().optional(),
    /** Of a job whose last attempt went on: the first token that stands, an earlier attempt's. */
    first_shown: z.number().optional(),
    ended: z.number(),
  }),
  attempts: z.int().min(0),
  outcome: outcomeSchema,
});
export type JobEnd = z.infer<typeof jobEndSchema>;
