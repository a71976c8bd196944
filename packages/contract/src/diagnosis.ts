import { z } from "zod";

import { durabilitySchema } from "./durability.ts";

/** `warning`: it works, and will not for long or not for all. `fault`: something does not work. */
export const findingSchema = z.object({
  /** What was looked at, in a word. */
  check: z.string(),
  level: z.enum(["ok", "warning", "fault"]),
  /** What was found. */
  found: z.string(),
  /** How to mend it; null when nothing is to be mended. */
  advice: z.string().nullable(),
});
export type Finding = z.infer<typeof findingSchema>;

/** What those who run Headrace are told of its state: `GET /internal/diagnosis`. */
export const diagnosisSchema = z.object({
  object: z.literal("diagnosis"),
  durability: durabilitySchema,
  /** Whether every finding is `ok`. */
  is_well: z.boolean(),
  findings: z.array(findingSchema),
});
export type Diagnosis = z.infer<typeof diagnosisSchema>;
