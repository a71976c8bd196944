import type { Attempt, LossReason } from "@headrace/broker";
import { PlatformError, toErrorBody, type ErrorBody, type ErrorCode } from "@headrace/contract";
import { EngineError } from "@headrace/engine";

import { CannotContinue } from "./seam.ts";

/** The attempt was taken from this worker: another has it, or the job has ended. */
export class AttemptLost extends Error {
  override readonly name = "AttemptLost";
  readonly reason: LossReason;

  constructor(reason: LossReason) {
    super(`the attempt was lost: ${reason}`);
    this.reason = reason;
  }
}

/** The worker is leaving: its jobs go back. */
export class Draining extends Error {
  override readonly name = "Draining";
  override readonly message = "the worker is stopping";
}

/** What becomes of a job whose attempt did not complete. */
export type Verdict =
  | { readonly kind: "lost"; readonly reason: LossReason }
  /** Back to the queue, none the worse for it. `isEngineFull`: send it nothing for a while. */
  | { readonly kind: "hand_back"; readonly isEngineFull: boolean }
  /** Back to the queue, none the worse for it, but not to be gone on with. */
  | { readonly kind: "restart" }
  /** Back to the queue with one attempt fewer, after a pause. */
  | { readonly kind: "retry"; readonly failure: ErrorCode; readonly pauseMs: number }
  | { readonly kind: "fail"; readonly error: ErrorBody };

/** What else a verdict depends on. */
export interface Circumstances {
  /** Whether readers have output of this job already. */
  readonly hasShown: boolean;
  /** Whether the next attempt can go on from it. */
  readonly canContinue: boolean;
  readonly maxAttempts: number;
}

/** Pause before the second attempt; four times that before the third. */
const RETRY_PAUSE_MS = 200;

/** Decide what an attempt's failure means for its job. */
export function judge(error: unknown, attempt: Attempt, circumstances: Circumstances): Verdict {
  if (error instanceof AttemptLost) return { kind: "lost", reason: error.reason };
  // A job that must not start over is ended by the next claim.
  if (error instanceof CannotContinue) return { kind: "restart" };
  const { hasShown, canContinue, maxAttempts } = circumstances;
  const mustNotRestart = attempt.isFragile && hasShown && !canContinue;
  const isFree = error instanceof Draining || isBeforeWork(error);
  if (isFree && !mustNotRestart) {
    return { kind: "hand_back", isEngineFull: !(error instanceof Draining) };
  }
  const platformError = toPlatformError(error);
  if (!platformError.retryable || mustNotRestart || attempt.attempts >= maxAttempts) {
    return { kind: "fail", error: toErrorBody(platformError) };
  }
  const pauseMs = RETRY_PAUSE_MS * 4 ** (attempt.attempts - 1);
  return { kind: "retry", failure: platformError.code, pauseMs };
}

/** Whether the engine never began on what it was asked: it was full, or could not be reached. */
export function isBeforeWork(error: unknown): boolean {
  return error instanceof EngineError && (error.code === "engine_full" || !error.wasSent);
}

function toPlatformError(error: unknown): PlatformError {
  if (error instanceof PlatformError) return error;
  if (error instanceof Draining) {
    return new PlatformError("engine_unavailable", "the worker stopped while it generated");
  }
  return new PlatformError("internal", "the worker met a fault of its own");
}
