import type { JobId } from "@headrace/contract";
import { estimateTokens, hasBound } from "@headrace/contract/token-estimate";
import { z } from "zod";

import { toHold } from "./job-hold.ts";
import { HOLD_KINDS } from "./hold.ts";
import { ROOT_KEY } from "./request-record.ts";
import type { Submission } from "./submission.ts";

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
  /** Whether it is a chat of one choice that set no bound to its output: what such chats take is learned from it. */
  unbounded: z.literal(true).optional(),
  /** Whether it was made by `POST /v1/responses`. */
  response: z.literal(true).optional(),
  /** What it holds of its key's limits, where that has any. */
  hold: z.object({ kind: z.enum(HOLD_KINDS), tokens: z.int().min(0) }).optional(),
  /** Where its submitter wants to be told of its end. */
  webhook: z.string().optional(),
  /**
   * Whether its caller waits for the answer, and need not be told of it: a batcher, too. A line has no
   * word of its own here, so that earlier builds send nothing for it either.
   */
  attached: z.literal(true).optional(),
});
export type JobOwner = z.infer<typeof jobOwnerSchema>;

/** Write what the ledger keeps of a job's owner. */
export function toOwner(job: JobId, submission: Submission): JobOwner {
  const { spec, limits, attachedTo, batch } = submission;
  const { tenant, key = ROOT_KEY, endpoint, request, response, webhook } = spec;
  // The batcher gives back what lines hold; earlier builds could not read their kind of hold.
  const hold = limits === null || batch !== undefined ? null : toHold(job, submission);
  return {
    tenant,
    key,
    model: request.model,
    prompt: estimateTokens(endpoint, request).promptTokens,
    ...(hasBound(endpoint, request) || (request["n"] ?? 1) !== 1 ? {} : { unbounded: true }),
    ...(response === undefined ? {} : { response: true }),
    ...(webhook === undefined ? {} : { webhook }),
    ...(attachedTo === null && batch === undefined ? {} : { attached: true }),
    ...(hold === null ? {} : { hold: { kind: hold.kind, tokens: hold.tokens } }),
  };
}
