import { modelCodeOf, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";
import type { PassBudget } from "./pass-budget.ts";

/**
 * Tell which jobs have no entry (any more). A command for each model where all have one, as nearly
 * always; else one for each job.
 */
export async function findGone(
  redis: Redis,
  jobs: readonly JobId[],
  budget: PassBudget,
): Promise<Set<JobId>> {
  const gone = new Set<JobId>();
  for (const ofModel of Map.groupBy(jobs, modelCodeOf).values()) {
    const distinct = [...new Set(ofModel)];
    budget.spend(1);
    if ((await redis.exists(...distinct.map(keys.entry))) === distinct.length) continue;
    budget.spend(distinct.length);
    const exist = await Promise.all(distinct.map((job) => redis.exists(keys.entry(job))));
    distinct.forEach((job, at) => exist[at] === 0 && gone.add(job));
  }
  return gone;
}
