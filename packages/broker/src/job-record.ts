import {
  jobEndSchema,
  jobSpecSchema,
  jobStatusSchema,
  type JobEnd,
  type JobId,
  type JobSpec,
  type JobStatus,
} from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";

/** What the ledger knows of a job. Instants are ms of Redis' clock. */
export interface JobRecord {
  readonly id: JobId;
  readonly status: JobStatus;
  readonly spec: JobSpec;
  readonly version: string;
  readonly acceptedAtMs: number;
  readonly deadlineAtMs: number;
  readonly retentionMs: number;
  readonly firstClaimedAtMs: number | null;
  readonly attempts: number;
  readonly end: JobEnd | null; // null while the job is open
}

const FIELDS = [
  "state",
  "spec",
  "version",
  "accepted_at",
  "deadline_at",
  "retention_ms",
  "first_claimed_at",
  "attempts",
  "end",
] as const;

/** Read the ledger's entries, in order; null where there is none (any more). */
export async function findRecords(
  redis: Redis,
  jobs: readonly JobId[],
): Promise<(JobRecord | null)[]> {
  const replies = await Promise.all(jobs.map((job) => redis.hmget(keys.entry(job), ...FIELDS)));
  return jobs.map((job, at) => parseRecord(job, replies[at] ?? []));
}

function parseRecord(id: JobId, fields: readonly (string | null)[]): JobRecord | null {
  const [state, spec, version, acceptedAt, deadlineAt, retention, firstClaimedAt, attempts, end] =
    fields;
  if (state === null || state === undefined) return null;
  return {
    id,
    status: jobStatusSchema.parse(state),
    spec: jobSpecSchema.parse(JSON.parse(spec ?? "null")),
    version: version ?? "",
    acceptedAtMs: Number(acceptedAt),
    deadlineAtMs: Number(deadlineAt),
    retentionMs: Number(retention),
    firstClaimedAtMs: firstClaimedAt ? Number(firstClaimedAt) : null,
    attempts: Number(attempts ?? 0),
    end: end ? jobEndSchema.parse(JSON.parse(end)) : null,
  };
}
