import { S3ServiceException } from "@aws-sdk/client-s3";

import { PlatformError } from "@headrace/contract";

const NO_BUCKET = "there is no such bucket: make it, or correct STORAGE_URL";
/** What only the operator can mend, by the name of the error, and how. */
const ADVICE: Readonly<Record<string, string>> = {
  NoSuchBucket: NO_BUCKET,
  AccessDenied:
    "access is denied: allow s3:GetObject, PutObject, DeleteObject and AbortMultipartUpload on the objects, and s3:ListBucket on the bucket",
  InvalidAccessKeyId:
    "the access key is unknown: set AWS_ACCESS_KEY_ID, or give the process a role",
  SignatureDoesNotMatch: "the secret is wrong: set the AWS_SECRET_ACCESS_KEY of the access key",
  ExpiredToken: "the credentials have expired: renew them",
  CredentialsProviderError:
    "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the process a role",
  RegionMissing: "there is no region: set region in STORAGE_URL, or AWS_REGION",
  RequestTimeTooSkewed: "this machine's clock is wrong: set it",
  PermanentRedirect: "the bucket is in another region: set region in STORAGE_URL",
  AuthorizationHeaderMalformed: "the bucket is in another region: set region in STORAGE_URL",
};
/** The same, where a request whose answer has no body leaves only the status. */
const BY_STATUS: Readonly<Record<number, string>> = {
  301: "PermanentRedirect",
  401: "AccessDenied",
  403: "AccessDenied",
};
const FULL: ReadonlySet<string> = new Set([
  "QuotaExceeded",
  "InsufficientStorage",
  "XMinioStorageFull",
]);
const INSUFFICIENT_STORAGE = 507;
/** What `reason` is where waiting mends nothing. */
export const MISCONFIGURED = "misconfigured";

/**
 * Wait for S3, and say what its failures mean.
 *
 * @throws PlatformError `storage_unavailable`, `storage_full`; the reason of a signal that was aborted
 */
export async function guardS3<Answer>(
  answer: Promise<Answer>,
  signal?: AbortSignal,
): Promise<Answer> {
  try {
    return await answer;
  } catch (error) {
    signal?.throwIfAborted();
    throw explainS3(error);
  }
}

/** The error for a bucket that is not there, where S3 says only that something is not. */
export function missingBucket(): PlatformError {
  return misconfigured(NO_BUCKET);
}

/** Say what a failure of S3 means. */
export function explainS3(cause: unknown): unknown {
  if (cause instanceof PlatformError) return cause;
  const name = nameOf(cause);
  if (FULL.has(name) || statusOf(cause) === INSUFFICIENT_STORAGE) {
    return new PlatformError("storage_full", "storage has no room", { cause });
  }
  const advice = ADVICE[name] ?? ADVICE[BY_STATUS[statusOf(cause)] ?? ""];
  if (advice !== undefined) return misconfigured(advice, cause);
  return new PlatformError("storage_unavailable", `storage cannot be used (${name})`, { cause });
}

/** Whether S3 says that what was asked for is not there. */
export function isMissing(error: unknown): boolean {
  const name = nameOf(error);
  return name === "NotFound" || name === "NoSuchKey";
}

/** Whether S3 refuses because there is such an object, or somebody is about to store one. */
export function isRefusedAsPresent(error: unknown): boolean {
  return nameOf(error) === "PreconditionFailed" || isConflict(error);
}

/** Whether S3 has not decided yet between two who store, or remove, the same object at once. */
export function isConflict(error: unknown): boolean {
  return nameOf(error) === "ConditionalRequestConflict";
}

function misconfigured(advice: string, cause?: unknown): PlatformError {
  const message = `storage cannot be used: ${advice}`;
  return new PlatformError("storage_unavailable", message, { cause, reason: MISCONFIGURED });
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if (error.message === "Region is missing") return "RegionMissing";
  const code = "code" in error && typeof error.code === "string" ? error.code : null;
  return error.name === "Error" && code !== null ? code : error.name;
}

function statusOf(error: unknown): number {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? 0) : 0;
}
