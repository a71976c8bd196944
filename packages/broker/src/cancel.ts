import { jobStatusSchema, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";

import type { JobQueues } from "./job-queue.ts";
import { endingKeys, keys } from "./keys.ts";
import { script } from "./script.ts";

const cancel = script("cancel", jobStatusSchema.nullable());

/** A job that is to be cancelled. */
export interface Cancelled {
  readonly job: JobId;
  readonly version: string;
  /** Set when it is to be cancelled only while it lives as long as this call. */
  readonly attachedTo: string | null;
}

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
  { job, version, attachedTo }: Cancelled,
): Promise<void> {
  const state = await cancel(redis, endingKeys(job), [job, keys.slotOf(job), attachedTo ?? ""]);
  if (state === "queued") await queues.removeEnded(job, version);
}
