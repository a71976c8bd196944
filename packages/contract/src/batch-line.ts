import { z } from "zod";

import { batchEndpointSchema } from "./batch.ts";

const LONGEST_CUSTOM_ID = 512;

/**
 * A line of a batch's input. Its `body` is validated again by the endpoint's own schema; fields that
 * are not named here are ignored, as OpenAI does.
 */
export const batchInputLineSchema = z.object({
  /** The caller's own name of the line, once per file. */
  custom_id: z.string().min(1).max(LONGEST_CUSTOM_ID),
  method: z.literal("POST"),
  url: batchEndpointSchema,
  body: z.looseObject({}),
});
export type BatchInputLine = z.infer<typeof batchInputLineSchema>;

/**
 * A line of a batch's output or error file: an answer of whatever status, or why there is none. The
 * output file has those with a status below 400, the error file all others.
 */
export const batchOutputLineSchema = z.object({
  id: z.string(),
  custom_id: z.string(),
  response: z
    .object({
      status_code: z.int(),
      request_id: z.string(),
      body: z.looseObject({}),
    })
    .nullable(),
  error: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export type BatchOutputLine = z.infer<typeof batchOutputLineSchema>;
