import { createHash } from "node:crypto";

import { keys } from "./keys.ts";
import type { Submission } from "./submission.ts";

/** OpenAI and Stripe remember a key for a day at the least. */
const IDEMPOTENCY_MS = 24 * 3_600 * 1_000;
/** How long OpenAI's SDK may take to repeat a call: it waits for an answer for ten minutes. */
const SDK_RETRY_MS = 600_000;

/** The key of a job that names none: the operator's own. */
export const ROOT_KEY = "root";

/** What is remembered of a request, so that it is known when it comes again. */
export interface RequestRecord {
  readonly key: string;
  readonly digest: string;
  readonly keepMs: number;
  /** It is a new job whatever is remembered under the same key. */
  readonly isFresh: boolean;
}

/** @returns null for a request that is not remembered */
export function toRecord(submission: Submission): RequestRecord | null {
  const { spec, attachedTo, deadlineMs, idempotencyKey, sdkTry } = submission;
  const { tenant, key = ROOT_KEY } = spec;
  if (idempotencyKey !== null) {
    const keepMs = IDEMPOTENCY_MS + deadlineMs;
    const digest = digestOf(submission);
    return { key: keys.once(tenant, idempotencyKey), digest, keepMs, isFresh: false };
  }
  if (sdkTry === undefined) return null;
  const kind = attachedTo === null ? "later" : "now";
  const digest = digestOf(submission);
  const again = keys.again(tenant, `${kind} ${key} ${digest}`);
  return { key: again, digest, keepMs: SDK_RETRY_MS, isFresh: true };
}

/** What a script takes as the last of its keys: none where there is no record. */
export function toRecordKeys(record: RequestRecord | null): string[] {
  return record === null ? [] : [record.key];
}

/**
 * Two requests under one Idempotency-Key are the same when all that the caller chose is the same.
 * It may repeat them with another API key of its tenant: its own may just have been replaced.
 */
function digestOf({ spec, askedRequest, deadlineMs, retentionMs }: Submission): string {
  const { admit_ms: _timing, key: _apiKey, ...chosen } = spec;
  const asked = { ...chosen, request: askedRequest ?? chosen.request };
  return createHash("sha256")
    .update(JSON.stringify([asked, deadlineMs, retentionMs]))
    .digest("base64url");
}
