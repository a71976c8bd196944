import type { JobId } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";

/** What became of one attempt. Instants are ms of Redis' clock. */
export interface PastAttempt {
  readonly epoch: number;
  readonly worker: string;
  /** How many output entries of earlier attempts stood, for it to go on from. */
  readonly from: number;
  /** Whether it voided output that had been shown. */
  readonly isReset: boolean;
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
  const entry = keys.entry(job);
  const [names, [last, skipped]] = await Promise.all([
    redis.hkeys(entry),
    redis.hmget(entry, "epoch", "skipped"),
  ]);
  // A restart of Redis leaves a gap in the epochs.
  const epochs = names
    .flatMap((name) => /^attempt:(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b);
  if (epochs.length === 0) return { attempts: [], forgottenCount: 0 };
  const fields = epochs.flatMap((epoch) => [`attempt:${epoch}`, `attempt_end:${epoch}`]);
  const values = await redis.hmget(entry, ...fields);
  const attempts = epochs.flatMap(
    (epoch, at) => parseAttempt(epoch, values[at * 2], values[at * 2 + 1]) ?? [],
  );
  const made = Number(last ?? 0) - Number(skipped ?? 0);
  return { attempts, forgottenCount: Math.max(0, made - attempts.length) };
}

function parseAttempt(
  epoch: number,
  begin: string | null | undefined,
  end: string | null | undefined,
): PastAttempt | null {
  if (!begin) return null;
  const [claimedAt = "", worker = "", from = "0", reset] = begin.split(" ");
  const [endedAt, reason, failure] = (end ?? "").split(" ");
  return {
    epoch,
    worker,
    from: Number(from),
    isReset: reset !== undefined,
    claimedAtMs: Number(claimedAt),
    endedAtMs: endedAt ? Number(endedAt) : null,
    end: reason ?? null,
    failure: failure || null,
  };
}
