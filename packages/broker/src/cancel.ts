import { jobStatusSchema, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";

import type { JobQueues } from "./job-queue.ts";
import { endingKeys, keys } from "./keys.ts";
import { script } from "./script.ts";

const cancel = script("cancel", jobStatusSchema.nullable());

/** Where a job is that is to be cancelled. */
export interface Cancelling {
  readonly redis: Redis;
  readonly queues: JobQueues;
}

/**
 * End an open job in the ledger, tell the worker that holds it, and take it out of its queue. An
 * ended or unknown job stays as it is; the sweep would take out what this leaves queued.
 */
export async function cancelJob(
  { redis, queues }: Cancelling,
  job: JobId,
  version: string,
): Promise<void> {
  const state = await cancel(redis, endingKeys(job), [job, keys.slotOf(job)]);
  if (state === "queued") await queues.removeEnded(job, version);
}
