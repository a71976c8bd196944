import { z } from "zod";

/**
 * What a key may be used for: `submit` makes, cancels and deletes jobs, `read` reads what its tenant
 * has, `admin` manages the keys and tenants of the whole platform. None includes another.
 */
export const SCOPES = ["submit", "read", "admin"] as const;
export const scopeSchema = z.enum(SCOPES);
export type Scope = z.infer<typeof scopeSchema>;

const MOST_PER_MINUTE = 1_000_000_000;
const MOST_JOBS = 10_000_000;
const MOST_MONTHLY = 1_000_000_000_000_000;
/** Models that one key may have limits of their own for. */
const MOST_MODEL_LIMITS = 64;
const LONGEST_MODEL_NAME = 256;

const perMinute = {
  requests_per_minute: z.int().min(1).max(MOST_PER_MINUTE).optional(),
  tokens_per_minute: z.int().min(1).max(MOST_PER_MINUTE).optional(),
};

/** What a key may use at most. What is not given is not limited. */
export const keyLimitsSchema = z.strictObject({
  ...perMinute,
  /** Jobs accepted for later that have not ended. */
  queued_jobs: z.int().min(1).max(MOST_JOBS).optional(),
  /** Synchronous calls open at once. */
  concurrent_jobs: z.int().min(1).max(MOST_JOBS).optional(),
  /** Tokens in a calendar month (UTC), prompts and outputs together. */
  monthly_tokens: z.int().min(1).max(MOST_MONTHLY).optional(),
  /** Money in a calendar month (UTC), in the currency that the operator prices a GPU hour in. */
  monthly_cost: z.number().positive().max(MOST_MONTHLY).optional(),
  /** Limits within those above, by the model's name. */
  models: z
    .record(z.string().min(1).max(LONGEST_MODEL_NAME), z.strictObject(perMinute))
    .refine(
      (models) => Object.keys(models).length <= MOST_MODEL_LIMITS,
      `expected at most ${MOST_MODEL_LIMITS} models`,
    )
    .optional(),
});
export type KeyLimits = z.infer<typeof keyLimitsSchema>;

/** What a tenant's share of the GPUs is weighed by, against others that also have jobs waiting. */
export const weightSchema = z.number().min(0.01).max(100);
/** The weight of a tenant of whom nothing else was said. */
export const DEFAULT_WEIGHT = 1;
