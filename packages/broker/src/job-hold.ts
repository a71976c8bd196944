import type { JobId } from "@headrace/contract";
import { estimateTokens, hasBound } from "@headrace/contract/token-estimate";

import { leastOf } from "./allowance.ts";
import type { Hold } from "./hold.ts";
import { ROOT_KEY } from "./request-record.ts";
import type { Submission } from "./submission.ts";

/** What a job takes of its key's limits, where it has any. */
export function toHold(job: JobId, submission: Submission): Hold {
  const { spec, attachedTo, batch } = submission;
  const { tenant, key = ROOT_KEY, request } = spec;
  return {
    job,
    tenant,
    key,
    kind: batch !== undefined ? "line" : attachedTo === null ? "later" : "now",
    tokens: tokensToReserve(submission),
    model: request.model,
  };
}

/**
 * What is to be reserved for a job. One that sets no bound to its output is not refused for ever since
 * others of its model took more than its key may use in a minute: then it reserves all of that. A line
 * reserves the same however often it is submitted.
 */
function tokensToReserve(submission: Submission): number {
  const { spec, model, limits, batch, reservedTokens } = submission;
  if (reservedTokens !== undefined) return reservedTokens;
  const { endpoint, request } = spec;
  const estimate = estimateTokens(endpoint, request, batch === undefined ? model : undefined);
  const tokens = estimate.promptTokens + estimate.outputTokens;
  if (hasBound(endpoint, request)) return tokens;
  const ofModel = limits?.models?.[request.model];
  const most = leastOf(limits?.tokens_per_minute, ofModel?.tokens_per_minute);
  return Math.max(estimate.promptTokens, Math.min(tokens, most));
}
