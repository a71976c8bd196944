import { z } from "zod";

/** Token counts as the engine reports them; details pass through. */
export const usageSchema = z.looseObject({
  prompt_tokens: z.int().min(0),
  completion_tokens: z.int().min(0).optional(),
  total_tokens: z.int().min(0),
});
export type Usage = z.infer<typeof usageSchema>;
