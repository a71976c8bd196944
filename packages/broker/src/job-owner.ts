import type { JobSpec } from "@headrace/contract";
import { z } from "zod";

import { estimateTokens } from "./token-estimate.ts";

/**
 * Whose a job is, and what its end must be told: kept beside the spec, since that may be megabytes,
 * and copied into the outbox, since the entry may be gone by then.
 */
export const jobOwnerSchema = z.object({
  tenant: z.string(),
  /** Id of the key that submitted it. */
  key: z.string(),
  /** The model's name as the caller wrote it. */
  model: z.string(),
  /** Estimate of the prompt's tokens, for a job that ends without a count. */
  prompt: z.int().min(0),
  /** Whether it was made by `POST /v1/responses`. */
  response: z.literal(true).optional(),
});
export type JobOwner = z.infer<typeof jobOwnerSchema>;

/** The key of a job that names none: the operator's own. */
const ROOT_KEY = "root";

/** Write what the ledger keeps of a job's owner. */
export function toOwner(spec: JobSpec): JobOwner {
  return {
    tenant: spec.tenant,
    key: spec.key ?? ROOT_KEY,
    model: spec.request.model,
    prompt: estimateTokens(spec.endpoint, spec.request).promptTokens,
    ...(spec.response === undefined ? {} : { response: true }),
  };
}
