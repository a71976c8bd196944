import {
  jobEndSchema,
  jobStatusSchema,
  type JobEnd,
  type JobId,
  type JobSpec,
  type JobStatus,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { readSpec, readSpecHead, type SpecHead } from "./kept-spec.ts";
import { keys } from "./keys.ts";

/** What the ledger knows of a job. Instants are ms of Redis' clock. */
export interface JobRecord {
  readonly id: JobId;
  readonly status: JobStatus;
  readonly spec: SpecHead;
  readonly version: string;
  readonly acceptedAtMs: number;
  readonly deadlineAtMs: number;
  readonly retentionMs: number;
  readonly firstClaimedAtMs: number | null;
  readonly attempts: number;
  readonly end: JobEnd | null; // null while the job is open
}

/** The same with the request, which may be megabytes. */
export interface WholeRecord extends JobRecord {
  readonly spec: SpecHead & Pick<JobSpec, "request">;
}

/** A job that a later version of Headrace made, in words that this one does not know. */
export interface LaterRecord {
  readonly id: JobId;
  readonly tenant: string;
  readonly spec: null;
}

const ownedSchema = z.looseObject({ tenant: z.string() });

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
): Promise<(JobRecord | LaterRecord | null)[]> {
  const replies = await Promise.all(jobs.map((job) => redis.hmget(keys.entry(job), ...FIELDS)));
  return jobs.map((job, at) => parseRecord(job, replies[at] ?? []));
}

/** Read the request of a job too. @returns null when it is gone by now, or a later version's */
export async function readWhole(redis: Redis, record: JobRecord): Promise<WholeRecord | null> {
  const [head, request] = await redis.hmget(keys.entry(record.id), "spec", "request");
  const spec = head ? readSpec({ head, request: request ?? "" }) : null;
  return spec === null ? null : { ...record, spec: { ...record.spec, request: spec.request } };
}

function parseRecord(
  id: JobId,
  fields: readonly (string | null)[],
): JobRecord | LaterRecord | null {
  const [state, spec, version, acceptedAt, deadlineAt, retention, firstClaimedAt, attempts, end] =
    fields;
  if (state === null || state === undefined) return null;
  const written: unknown = JSON.parse(spec ?? "null");
  const status = jobStatusSchema.safeParse(state);
  const readable = readSpecHead(written);
  const ended = jobEndSchema.nullable().safeParse(JSON.parse(end ?? "null"));
  if (!status.success || readable === null || !ended.success) {
    return { id, tenant: ownedSchema.parse(written).tenant, spec: null };
  }
  return {
    id,
    status: status.data,
    spec: readable,
    version: version ?? "",
    acceptedAtMs: Number(acceptedAt),
    deadlineAtMs: Number(deadlineAt),
    retentionMs: Number(retention),
    firstClaimedAtMs: firstClaimedAt ? Number(firstClaimedAt) : null,
    attempts: Number(attempts ?? 0),
    end: ended.data,
  };
}
