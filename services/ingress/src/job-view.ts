import type { JobRecord, Standing, Submitted } from "@headrace/broker";
import { isTerminal, type Job } from "@headrace/contract";
import { findError } from "@headrace/endpoints";

import type { JobForm } from "./submission-form.ts";

/** How long the ledger keeps what was to be deleted on delivery and was not delivered, ms. */
const UNDELIVERED_MS = 300_000;

/** What is known of a job beside its record. */
export interface JobDetails {
  /** Null unless the job waits in the queue. */
  readonly standing: Standing | null;
  /** The engine-shaped response; null unless it completed and was asked for. */
  readonly result: Readonly<Record<string, unknown>> | null;
}

/** Show a job the way the API does. */
export function toJob(record: JobRecord, { standing, result }: JobDetails): Job {
  const { end, spec } = record;
  const endedAtMs = end?.at.ended ?? null;
  return {
    ...describe(record.id, spec, standing),
    status: record.status,
    created_at: toSeconds(record.acceptedAtMs),
    started_at: record.firstClaimedAtMs === null ? null : toSeconds(record.firstClaimedAtMs),
    ended_at: endedAtMs === null ? null : toSeconds(endedAtMs),
    deadline_at: toSeconds(record.deadlineAtMs),
    expires_at:
      endedAtMs === null ? null : toSeconds(endedAtMs + (record.retentionMs || UNDELIVERED_MS)),
    attempts: record.attempts,
    result,
    error: end !== null && isTerminal(record.status) ? findError(record.status, end) : null,
    usage: end?.outcome.usage ?? null,
  };
}

/** Show a job that has just been accepted, without reading back what was just written. */
export function toNewJob(submitted: Submitted, spec: JobForm["spec"]): Job {
  return {
    ...describe(submitted.id, { ...spec, model: spec.request.model }, submitted.standing),
    status: "queued",
    created_at: toSeconds(submitted.acceptedAtMs),
    started_at: null,
    ended_at: null,
    deadline_at: toSeconds(submitted.deadlineAtMs),
    expires_at: null,
    attempts: 0,
    result: null,
    error: null,
    usage: null,
  };
}

type Described =
  | "status"
  | "created_at"
  | "started_at"
  | "ended_at"
  | "deadline_at"
  | "expires_at"
  | "attempts"
  | "result"
  | "error"
  | "usage";

function describe(
  id: string,
  spec: Omit<JobRecord["spec"], "admit_ms">,
  standing: Standing | null,
): Omit<Job, Described> {
  return {
    id,
    object: "job",
    endpoint: spec.endpoint,
    model: spec.model,
    priority: spec.priority,
    on_retry: spec.on_retry,
    metadata: spec.metadata,
    retry_of: spec.retry_of ?? null,
    webhook: spec.webhook ?? null,
    waiting_reason: standing?.reason ?? null,
    queue_position: standing?.ahead ?? null,
    eta_seconds: standing?.etaSeconds ?? null,
    // Paths, not whole URLs: only the caller knows by which name and scheme it reaches us.
    status_url: `/v1/jobs/${id}`,
    events_url: `/v1/jobs/${id}/events`,
    cancel_url: `/v1/jobs/${id}/cancel`,
  };
}

/** Milliseconds as the API shows instants: seconds, to the millisecond. */
export function toSeconds(ms: number): number {
  return Math.round(ms) / 1_000;
}
