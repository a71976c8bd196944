import { z } from "zod";

import { errorBodySchema } from "./event.ts";
import { jobStatusSchema } from "./job.ts";
import { latencySchema } from "./stage.ts";

/** One worker's try at a job. Instants are Unix seconds. */
export const attemptSchema = z.object({
  /** Grows with each attempt; where Redis was restarted in between, by more than one. */
  epoch: z.int().min(1),
  worker: z.string(),
  /** How many output events of earlier attempts it went on from, as in its `attempt.started`. */
  from: z.int().min(0),
  /** Whether it started over, which voids all output shown before. */
  reset: z.boolean(),
  started_at: z.number(),
  /** Null while it runs. */
  ended_at: z.number().nullable(),
  /**
   * The job's own end (`completed`, `failed`, `cancelled`), or why the job went back to the queue:
   * an attempt reason of the next one (`handed_back`, `engine_error`, …). Null while it runs.
   */
  end: z.string().nullable(),
  /** Code of the failure that ended it; null when none did. */
  error_code: z.string().nullable(),
});
export type AttemptView = z.infer<typeof attemptSchema>;

/** What happened to a job, attempt by attempt: `GET /v1/jobs/{id}/timeline`. */
export const timelineSchema = z.object({
  job: z.string(),
  object: z.literal("timeline"),
  status: jobStatusSchema,
  created_at: z.number(),
  ended_at: z.number().nullable(),
  /** Why it failed or expired. */
  error: errorBodySchema.nullable(),
  /** Oldest first. */
  attempts: z.array(attemptSchema),
  /** Attempts before these, of which nothing is kept. */
  forgotten_attempts: z.int().min(0),
  /** Where the time went; null while the job is open. */
  latency: latencySchema.nullable(),
});
export type Timeline = z.infer<typeof timelineSchema>;
