import type { JobRecord, PastAttempt } from "@headrace/broker";
import { isTerminal, type AttemptView, type ErrorBody, type Timeline } from "@headrace/contract";
import { findError } from "@headrace/endpoints";
import { latencyOf } from "@headrace/latency";

import { sendJson } from "./answer.ts";
import type { Caller } from "./caller.ts";
import type { Exchange } from "./exchange.ts";
import { findRecord } from "./job-record.ts";
import { toSeconds } from "./job-view.ts";
import type { Services } from "./services.ts";

/** `GET /v1/jobs/{id}/timeline`: what happened to a job, attempt by attempt, open or ended. */
export async function readTimeline(
  services: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const record = await findRecord(services, exchange, caller);
  const { attempts, forgottenCount } = await services.broker.getAttempts(record.id);
  const error = errorOf(record);
  const body: Timeline = {
    job: record.id,
    object: "timeline",
    status: record.status,
    created_at: toSeconds(record.acceptedAtMs),
    ended_at: record.end === null ? null : toSeconds(record.end.at.ended),
    error,
    attempts: attempts.map((attempt) => toAttempt(attempt, error)),
    forgotten_attempts: forgottenCount,
    latency:
      record.end === null
        ? null
        : latencyOf({ id: record.id, admitMs: record.spec.admit_ms, end: record.end }),
  };
  sendJson(exchange, 200, { body });
}

function errorOf({ status, end }: JobRecord): ErrorBody | null {
  return end !== null && isTerminal(status) ? findError(status, end) : null;
}

function toAttempt(attempt: PastAttempt, jobError: ErrorBody | null): AttemptView {
  const { epoch, worker, from, isReset, claimedAtMs, endedAtMs, end, failure } = attempt;
  return {
    epoch,
    worker,
    from,
    reset: isReset,
    started_at: toSeconds(claimedAtMs),
    ended_at: endedAtMs === null ? null : toSeconds(endedAtMs),
    end,
    // The attempt that ended the job failed as the job did.
    error_code: end === "failed" ? (jobError?.code ?? null) : failure,
  };
}
