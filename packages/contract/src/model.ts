import { z } from "zod";

/** One model as `GET /v1/models` lists it: OpenAI's fields, and vLLM's length. */
export const modelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  max_model_len: z.int().nullable(),
});
export type Model = z.infer<typeof modelSchema>;

export const modelListSchema = z.object({
  object: z.literal("list"),
  data: z.array(modelSchema),
});
export type ModelList = z.infer<typeof modelListSchema>;
