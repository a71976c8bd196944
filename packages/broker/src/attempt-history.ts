import type { JobId } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";

/** Attempts of one job that are kept: as many as `lua/include/attempts.lua` keeps. */
const KEPT_ATTEMPTS = 16;

/** What became of one attempt. Instants are ms of Redis' clock. */
export interface PastAttempt {
  readonly epoch: number;
  readonly worker: string;
  readonly claimedAtMs: number;
  readonly endedAtMs: number | null; // null while it runs
  /** The job's own end, or why the attempt was given up; null while it runs. */
  readonly end: string | null;
  /** Code of the failure that made it count; null when none did. */
  readonly failure: string | null;
}

/** The last attempts at a job, oldest first, and how many came before them. */
export interface AttemptHistory {
  readonly attempts: readonly PastAttempt[];
  readonly forgottenCount: number;
}

/** Read what the ledger keeps of a job's attempts. */
export async function readAttempts(redis: Redis, job: JobId): Promise<AttemptHistory> {
  const last = Number((await redis.hget(keys.entry(job), "epoch")) ?? 0);
  const first = Math.max(1, last - KEPT_ATTEMPTS + 1);
  const epochs = Array.from({ length: last - first + 1 }, (_, at) => first + at);
  if (epochs.length === 0) return { attempts: [], forgottenCount: 0 };
  const fields = epochs.flatMap((epoch) => [`attempt:${epoch}`, `attempt_end:${epoch}`]);
  const values = await redis.hmget(keys.entry(job), ...fields);
  const attempts = epochs.flatMap(
    (epoch, at) => parseAttempt(epoch, values[at * 2], values[at * 2 + 1]) ?? [],
  );
  return { attempts, forgottenCount: last - attempts.length };
}

function parseAttempt(
  epoch: number,
  begin: string | null | undefined,
  end: string | null | undefined,
): PastAttempt | null {
  if (!begin) return null;
  const [claimedAt = "", worker = ""] = begin.split(" ");
  const [endedAt, reason, failure] = (end ?? "").split(" ");
  return {
    epoch,
    worker,
    claimedAtMs: Number(claimedAt),
    endedAtMs: endedAt ? Number(endedAt) : null,
    end: reason ?? null,
    failure: failure || null,
  };
}
