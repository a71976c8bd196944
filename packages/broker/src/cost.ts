import type { JobSpec } from "@headrace/contract";
import { estimateTokens, type ModelExtent } from "@headrace/contract/token-estimate";

/** A prompt token is read with many others at once: it costs about half of what one of output does. */
const PROMPT_SHARE = 0.5;
/** No job costs less: an engine's step, a slot, the ledger. */
const LEAST_COST = 16;

/**
 * Estimate what a job will take of an engine, in tokens of output. Fair shares are reckoned in it: a
 * tenant with long jobs has fewer of them started than one with short jobs. What it took in truth is
 * charged at its end, by `lua/include/end-job.lua`, which reckons alike.
 *
 * @see docs/adr/012-fair-turns-in-bullmqs-own-set.md
 */
export function costOf(
  { endpoint, request }: Pick<JobSpec, "endpoint" | "request">,
  model: ModelExtent,
): number {
  const { promptTokens, outputTokens } = estimateTokens(endpoint, request, model);
  return Math.max(LEAST_COST, Math.round(promptTokens * PROMPT_SHARE + outputTokens));
}
