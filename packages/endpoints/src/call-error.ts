import {
  PlatformError,
  toErrorBody,
  type ErrorBody,
  type JobEnd,
  type TerminalStatus,
} from "@headrace/contract";

import { findError } from "./job-error.ts";

/** What a synchronous call is answered when its job ended without a result. */
export interface CallError {
  readonly status: number;
  readonly error: ErrorBody;
}

/**
 * Turn a job's end into the answer of the call that waited for it.
 *
 * What the engine itself refused is answered as the engine would have: 400, in its words. Anything
 * else went wrong behind us: 502, and 504 for a deadline.
 *
 * @returns null for a job that completed
 */
export function toCallError(status: TerminalStatus, end: JobEnd): CallError | null {
  switch (status) {
    case "completed":
      return null;
    case "cancelled": {
      const error = new PlatformError("job_cancelled", "the job was cancelled");
      return { status: error.status, error: toErrorBody(error) };
    }
    case "failed":
    case "expired": {
      const error = findError(status, end) ?? UNEXPLAINED;
      return { status: STATUS_BY_CODE[error.code] ?? 502, error };
    }
  }
}

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  engine_rejected: 400,
  deadline_exceeded: 504,
};

const UNEXPLAINED = toErrorBody(new PlatformError("engine_failed", "the job failed"));
