import { jobIdSchema, PlatformError, type JobId, type JobStatus } from "@headrace/contract";
import type { Redis } from "ioredis";

import { findRecords, type JobRecord } from "./job-record.ts";
import { keys } from "./keys.ts";

/** Jobs looked at side by side, at most. */
const LIST_PAGE = 100;
/** A filter that matches next to nothing stops here and says that there may be more. */
const LIST_SCAN_LIMIT = 5_000;

/** Which of a tenant's jobs to list. */
export interface JobQuery {
  readonly status: JobStatus | null;
  readonly model: string | null;
  readonly limit: number;
  readonly after: JobId | null;
}

/**
 * A tenant's jobs, newest first. One that only a later version of Headrace can read is left out: it
 * must not keep the others from being listed.
 *
 * @throws PlatformError `job_not_found` for an unknown `after`
 */
export async function listJobs(
  redis: Redis,
  tenant: string,
  query: JobQuery,
): Promise<{ readonly jobs: JobRecord[]; readonly hasMore: boolean }> {
  const jobs: JobRecord[] = [];
  let rank = await rankAfter(redis, tenant, query.after);
  // Without a filter nearly all that are read are listed; the one beyond tells that there are more.
  const isFiltered = query.status !== null || query.model !== null;
  const page = isFiltered ? LIST_PAGE : Math.min(query.limit + 1, LIST_PAGE);
  for (const stop = rank + LIST_SCAN_LIMIT; rank < stop; rank += page) {
    const ids = await redis.zrevrange(keys.jobs(tenant), rank, rank + page - 1);
    const records = await findRecords(redis, jobIdSchema.array().parse(ids));
    for (const record of records) {
      if (record === null || record.spec === null || !matches(record, query)) continue;
      if (jobs.length === query.limit) return { jobs, hasMore: true };
      jobs.push(record);
    }
    if (ids.length < page) return { jobs, hasMore: false };
  }
  return { jobs, hasMore: true };
}

async function rankAfter(redis: Redis, tenant: string, after: JobId | null): Promise<number> {
  if (after === null) return 0;
  const rank = await redis.zrevrank(keys.jobs(tenant), after);
  if (rank === null) {
    throw new PlatformError("job_not_found", `there is no job ${after}`, { param: "after" });
  }
  return rank + 1;
}

function matches(record: JobRecord, { status, model }: JobQuery): boolean {
  return (
    (status === null || record.status === status) && (model === null || record.spec.model === model)
  );
}
