import {
  ERRORS,
  PlatformError,
  toErrorBody,
  type ErrorBody,
  type ErrorCode,
  type JobEnd,
  type TerminalStatus,
} from "@headrace/contract";

/** Why the ledger itself ended a job: it keeps the code, the words are ours. */
const REASONS: Readonly<Partial<Record<ErrorCode, string>>> = {
  deadline_exceeded: "the job had not started by its deadline; nothing was generated",
  output_interrupted:
    "the job was broken off, and what it had said could neither be continued exactly nor be taken back",
  worker_crashed: "the workers that held the job died; it may be what kills them",
};

/** Tell what went wrong with a job that has ended. @returns null when nothing did */
export function findError(status: TerminalStatus, { outcome }: JobEnd): ErrorBody | null {
  if (status !== "failed" && status !== "expired") return null;
  const { error } = outcome;
  if (typeof error === "object") return error;
  const code = isErrorCode(error) ? error : "engine_failed";
  const message = REASONS[code] ?? "the job failed";
  return toErrorBody(new PlatformError(code, message));
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && Object.hasOwn(ERRORS, code);
}
