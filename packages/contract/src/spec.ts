import { z } from "zod";

import { onRetrySchema, prioritySchema } from "./job.ts";
import { endpointSchema, engineRequestSchema } from "./request.ts";
import { responseSpecSchema } from "./response.ts";

/** What never changes about a job: written by the ingress at accept, read by the worker at claim. */
export const jobSpecSchema = z.object({
  tenant: z.string(),
  /** Id of the API key it came with. Jobs accepted when there was only one key have none. */
  key: z.string().optional(),
  endpoint: endpointSchema,
  priority: prioritySchema,
  on_retry: onRetrySchema,
  metadata: z.record(z.string(), z.string()),
  /** How long the ingress took from the request's arrival to the accept, ms of its own clock. */
  admit_ms: z.number().min(0),
  request: engineRequestSchema,
  /** The ended job that this one runs again. */
  retry_of: z.string().optional(),
  /** Where its submitter wants to be told of its end. */
  webhook: z.string().optional(),
  /** Present when the job was made by `POST /v1/responses`; its endpoint is that of chats. */
  response: responseSpecSchema.optional(),
});
export type JobSpec = z.infer<typeof jobSpecSchema>;
