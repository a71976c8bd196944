import { lineJobId, type BatchRecord, type KnownModel } from "@headrace/broker";
import {
  toErrorBody,
  type PlatformError,
  type BatchOutputLine,
  type JobEnd,
  type JobId,
  type Usage,
} from "@headrace/contract";

import type { OpenLine } from "./line-board.ts";

const COMPLETED = 200;

/** Why a line has no answer, in OpenAI's codes. */
export type Unanswered = "batch_expired" | "batch_cancelled";

const REASONS: Readonly<Record<Unanswered, string>> = {
  batch_expired: "the batch's window ended before this line was done",
  batch_cancelled: "the batch was cancelled before this line was done",
};

/** What a line came to: a line of the output file, or of the error file. */
export interface LineResult {
  readonly kind: "output" | "error";
  readonly line: BatchOutputLine;
  readonly usage: Usage | null;
  /** Of the GPU's time, ms. */
  readonly gpuMs: number;
}

/** Of which line something is said. */
export interface LineName {
  readonly job: JobId;
  readonly customId: string;
}

/** Name a line by its job; one that never was one by the job that it would have been first. */
export function nameLine(
  { batch, model }: { readonly batch: BatchRecord; readonly model: KnownModel },
  { line, jobs, customId }: OpenLine,
): LineName {
  const job = jobs.at(-1)?.id ?? lineJobId(model.code, { batch: batch.id, line, nth: 0 });
  return { job, customId };
}

/** A line's answer. */
export function toAnswer(
  name: LineName,
  body: Readonly<Record<string, unknown>>,
  { outcome }: JobEnd,
): LineResult {
  return {
    kind: "output",
    line: respond(name, COMPLETED, body),
    usage: outcome.usage ?? null,
    gpuMs: outcome.gpu_ms ?? 0,
  };
}

/** A line that came to an error, as a call would have been answered; `end` where it ran. */
export function toFailure(
  name: LineName,
  failure: { readonly status: number; readonly error: object },
  end: JobEnd | null,
): LineResult {
  return {
    kind: "error",
    line: respond(name, failure.status, { error: failure.error }),
    usage: end?.outcome.usage ?? null,
    gpuMs: end?.outcome.gpu_ms ?? 0,
  };
}

/** A line that was refused before it was a job. */
export function toRefusal(name: LineName, error: PlatformError): LineResult {
  return toFailure(name, { status: error.status, error: toErrorBody(error) }, null);
}

/** A line that nobody has answered. */
export function toUnanswered(name: LineName, code: Unanswered, end: JobEnd | null): LineResult {
  return {
    kind: "error",
    line: {
      id: idOf(name.job),
      custom_id: name.customId,
      response: null,
      error: { code, message: REASONS[code] },
    },
    usage: end?.outcome.usage ?? null,
    gpuMs: end?.outcome.gpu_ms ?? 0,
  };
}

function respond(
  { job, customId }: LineName,
  status: number,
  body: Readonly<Record<string, unknown>>,
): BatchOutputLine {
  return {
    id: idOf(job),
    custom_id: customId,
    // Logs and `GET /metrics` know it by the job's id.
    response: { status_code: status, request_id: job, body: { ...body } },
    error: null,
  };
}

function idOf(job: JobId): string {
  return `batch_req_${job.slice(job.lastIndexOf("_") + 1)}`;
}
