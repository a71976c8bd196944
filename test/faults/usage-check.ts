import {
  DEFAULT_TENANT,
  isTerminal,
  jobEndSchema,
  jobSpecSchema,
  jobStatusSchema,
  type UsageSums,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "../../packages/broker/src/keys.ts";
import { estimateTokens } from "@headrace/contract/token-estimate";
import { readUsage, toDay } from "../../packages/broker/src/usage-book.ts";
import type { Finding } from "./finding.ts";
import type { LedgerJob } from "./ledger.ts";

const DAY_MS = 24 * 3_600 * 1_000;

/** What was counted of jobs, or should have been. */
export type Metered = Pick<UsageSums, "jobs" | "input_tokens" | "output_tokens">;

const COUNTED = ["jobs", "input_tokens", "output_tokens"] as const;

const attemptSchema = z.looseObject({ reset: z.boolean() });

/** Read what has been counted of all tenants' jobs. A run may go on over midnight. */
export async function readMetered(redis: Redis): Promise<Metered> {
  const [from, to] = [toDay(Date.now() - DAY_MS), toDay(Date.now() + DAY_MS)];
  const tenants = [DEFAULT_TENANT, ...(await redis.hkeys(keys.tenantSettings))];
  const days = await Promise.all(
    [...new Set(tenants)].map((tenant) => readUsage(redis, tenant, { from, to })),
  );
  return sum(days.flat());
}

/** Sum up what must have been counted of the jobs that the ledger knows. */
export function toMeter(jobs: ReadonlyMap<string, LedgerJob>): Metered {
  return sum(
    [...jobs.values()].filter(({ state }) => isTerminal(jobStatusSchema.parse(state))).map(ofJob),
  );
}

/** Compare what was counted with what must have been, each job once. */
export function findMeterFaults(jobs: ReadonlyMap<string, LedgerJob>, metered: Metered): Finding[] {
  const expected = toMeter(jobs);
  return COUNTED.filter((what) => metered[what] !== expected[what]).map((what) => ({
    fault: "wrong_usage",
    subject: "usage of all tenants",
    detail: `${what}: counted ${metered[what]} of ${expected[what]}`,
  }));
}

/** The engine's count; of a job that was cancelled while it ran, what its caller had been given. */
function ofJob({ state, spec, log }: LedgerJob): Metered {
  const end = log.at(-1);
  const isEnd = end?.type === state;
  const usage = isEnd ? jobEndSchema.parse(JSON.parse(end.data)).outcome.usage : null;
  if (usage) {
    const { prompt_tokens, completion_tokens = 0 } = usage;
    return { jobs: 1, input_tokens: prompt_tokens, output_tokens: completion_tokens };
  }
  const shown = countShown(log);
  if (state !== "cancelled" || shown === 0) return { jobs: 1, input_tokens: 0, output_tokens: 0 };
  const { endpoint, request } = jobSpecSchema.parse(JSON.parse(spec));
  const { promptTokens } = estimateTokens(endpoint, request);
  return { jobs: 1, input_tokens: promptTokens, output_tokens: shown };
}

/** Entries of output that no later attempt has voided. */
function countShown(log: LedgerJob["log"]): number {
  let shown = 0;
  for (const { type, data } of log) {
    if (type === "delta" || type === "vectors") shown += 1;
    if (type === "attempt" && attemptSchema.parse(JSON.parse(data)).reset) shown = 0;
  }
  return shown;
}

function sum(each: readonly Metered[]): Metered {
  const total = { jobs: 0, input_tokens: 0, output_tokens: 0 };
  for (const one of each) for (const what of COUNTED) total[what] += one[what];
  return total;
}
