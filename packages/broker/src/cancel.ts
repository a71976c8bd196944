import { jobStatusSchema, type JobId, type JobStatus } from "@headrace/contract";
import type { Redis } from "ioredis";

import { endingKeys, keys } from "./keys.ts";
import { script } from "./script.ts";

const cancel = script("cancel", jobStatusSchema.nullable());

/**
 * End an open job in the ledger, and tell the worker that holds it. The caller takes a queued one
 * out of its queue; the sweep would, in time.
 *
 * @returns the state it was in, null when there is none; an ended job stays as it is
 */
export async function cancelJob(redis: Redis, job: JobId): Promise<JobStatus | null> {
  return cancel(redis, endingKeys(job), [job, keys.slotOf(job)]);
}
