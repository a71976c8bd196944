import { z } from "zod";

/** The parts of a job's life, in order. Their seconds sum to `total_seconds`. */
export const STAGES = [
  "admit",
  "queue",
  "lost_attempts",
  "dispatch",
  "engine_queue",
  "prefill",
  "decode",
  "finish",
] as const;

export const stageSchema = z.object({
  stage: z.enum(STAGES),
  seconds: z.number().min(0),
  /** Present when the engine did not report this phase and the worker inferred it. */
  estimated: z.literal(true).optional(),
});
export type Stage = z.infer<typeof stageSchema>;

/** Where one job's time went. */
export const latencySchema = z.object({
  job: z.string(),
  /** HTTP arrival of the submit to the end of the job. */
  total_seconds: z.number().min(0),
  /** HTTP arrival of the submit to the first token, null when none came. */
  ttft_seconds: z.number().min(0).nullable(),
  /**
   * Decode time over (output tokens − 1), null when fewer than two tokens came, or several attempts
   * made them.
   */
  tpot_seconds: z.number().min(0).nullable(),
  stages: z.array(stageSchema),
  attempts: z.int().min(0),
});
export type Latency = z.infer<typeof latencySchema>;
