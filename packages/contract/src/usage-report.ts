import { z } from "zod";

/** What usage may be summed by; sums go over whatever is left out. */
export const USAGE_GROUPS = ["day", "key", "model"] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

/** A day of the calendar, UTC: `2026-11-25`. */
export const daySchema = z.iso
  .date("expected a day, such as 2026-11-25")
  .refine((day) => day >= "2020-01-01", "expected a day since 2020");

const sums = {
  /** Jobs that ended, however they ended. */
  jobs: z.int().min(0),
  input_tokens: z.int().min(0),
  output_tokens: z.int().min(0),
  /** Each job's share of the time in which its engine had work. */
  gpu_seconds: z.number().min(0),
  /** At the price of a GPU hour when each job ended. */
  cost: z.number().min(0),
};
export const usageSumsSchema = z.object(sums);
export type UsageSums = z.infer<typeof usageSumsSchema>;

/** What jobs came to that share a day, a key and a model; null for what they are summed over. */
export const usageRowSchema = z.object({
  /** UTC, of the jobs' end. */
  day: daySchema.nullable(),
  /** Id of the API key. */
  key: z.string().nullable(),
  model: z.string().nullable(),
  ...sums,
});
export type UsageRow = z.infer<typeof usageRowSchema>;

/** What a tenant has used, as `GET /v1/usage` tells it. */
export const usageReportSchema = z.object({
  object: z.literal("usage"),
  tenant: z.string(),
  from: daySchema,
  to: daySchema,
  /** What costs are in; null where the operator has not said. */
  currency: z.string().nullable(),
  data: z.array(usageRowSchema),
  total: usageSumsSchema,
});
export type UsageReport = z.infer<typeof usageReportSchema>;
