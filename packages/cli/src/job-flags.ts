import { endpointSchema, prioritySchema, PRIORITIES, webhookUrlSchema } from "@headrace/contract";
import { z } from "zod";

import { connectionFlags, durationWithin, jsonFlag, numberWithin } from "./flags.ts";

/** As the API bounds it. */
const LONGEST_DEADLINE_SECONDS = 7 * 24 * 3_600;

/** `chat` and the like stand for the endpoint they end. */
const ENDPOINTS: Readonly<Record<string, string>> = {
  chat: "/v1/chat/completions",
  completions: "/v1/completions",
  embeddings: "/v1/embeddings",
};

const maxTokens = numberWithin(1, Number.MAX_SAFE_INTEGER, "expected a whole number, 1 or more");
const jobId = z.string().regex(/^job_\w+$/, "expected an id as `submit` prints it: job_…");
const idempotency = {
  "idempotency-key": z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, "expected 1 to 255 ASCII characters, none of them a space")
    .optional(),
};

/** Flags of the commands on jobs. */
export const jobSchemas = {
  submit: z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    ...idempotency,
    positionals: z.tuple([z.string().min(1, "expected a prompt")], "expected one prompt"),
    model: z.string().min(1).optional(),
    endpoint: z
      .string()
      .default("chat")
      .transform((name) => ENDPOINTS[name] ?? name)
      .pipe(z.enum(endpointSchema.options, "expected chat, completions or embeddings")),
    "max-tokens": maxTokens.optional(),
    priority: z.enum(prioritySchema.options, `expected ${PRIORITIES.join(", ")}`).optional(),
    deadline: durationWithin(
      1,
      LONGEST_DEADLINE_SECONDS,
      "expected a time such as 30s, 5m or 2h, from a second to 7 days",
    ).optional(),
    webhook: webhookUrlSchema.optional(),
    detach: z.boolean().default(false),
  }),
  watch: z.strictObject({
    ...connectionFlags,
    positionals: z.tuple([jobId], "expected one job id"),
  }),
  get: z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    timeline: z.boolean().default(false),
    positionals: z.tuple([jobId], "expected one job id"),
  }),
  cancel: z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    positionals: z.tuple([jobId], "expected one job id"),
  }),
  retry: z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    ...idempotency,
    positionals: z.tuple([jobId], "expected one job id"),
    detach: z.boolean().default(false),
  }),
};

export type SubmitOptions = z.infer<typeof jobSchemas.submit>;
export type WatchOptions = z.infer<typeof jobSchemas.watch>;
export type GetOptions = z.infer<typeof jobSchemas.get>;
export type CancelOptions = z.infer<typeof jobSchemas.cancel>;
export type RetryOptions = z.infer<typeof jobSchemas.retry>;
