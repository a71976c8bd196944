import type { JobId, ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import { script } from "./script.ts";

const renew = script("renew", z.array(z.string()));

/**
 * Renew the locks that BullMQ gave a worker, in one call, also while Redis is full.
 *
 * @returns the jobs whose lock is gone, or another's
 */
export async function renewLocks(
  redis: Redis,
  { code, version }: { readonly code: ModelCode; readonly version: string },
  { held, ms }: { readonly held: readonly { job: JobId; token: string }[]; readonly ms: number },
): Promise<readonly string[]> {
  return renew(
    redis,
    [keys.queue(code, version, "stalled"), ...held.map(({ job }) => keys.lock(code, version, job))],
    [ms, ...held.flatMap(({ job, token }) => [job, token])],
  );
}
