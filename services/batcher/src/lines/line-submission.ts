import type { BatchRecord, KnownModel, LineSubmission } from "@headrace/broker";
import { PlatformError, type JobSpec, type Priority } from "@headrace/contract";
import {
  readResponseRequest,
  REQUESTS_BY_ENDPOINT,
  toChatRequest,
  toResponseSpec,
  validate,
} from "@headrace/endpoints";

import type { InputLine } from "../input/input.ts";

/** What is asked of the engine for a line, and what its answer is to be made into. */
export type LineRequest = Pick<JobSpec, "endpoint" | "request" | "response">;

/** How a line is to be submitted, whatever it asks for. */
export interface LineTerms {
  readonly model: KnownModel;
  readonly priority: Priority;
  /** Until the batch's window ends. */
  readonly deadlineMs: number;
  /** How long its answer waits for the batcher. */
  readonly retentionMs: number;
}

/**
 * Read what a line asks for, as its endpoint would.
 *
 * @throws PlatformError `request_invalid` naming the field of its body
 */
export function readLineRequest({ url, body }: InputLine): LineRequest {
  for (const field of ["stream", "background"]) {
    if (body[field] !== true) continue;
    const advice = "answers of a batch come in its files; leave it out";
    throw new PlatformError("request_invalid", `${field}: ${advice}`, { param: field });
  }
  if (url !== "/v1/responses") {
    return { endpoint: url, request: validate(REQUESTS_BY_ENDPOINT[url], body) };
  }
  const request = readResponseRequest(body);
  return {
    endpoint: "/v1/chat/completions",
    request: toChatRequest(request),
    // It is in the batch's files: there is nothing to be retrieved by its id.
    response: { ...toResponseSpec(request), is_stored: false },
  };
}

/** Make a line's request what the broker takes. */
export function toLineSubmission(
  { tenant, key, weight, limits }: BatchRecord,
  request: LineRequest,
  { model, priority, deadlineMs, retentionMs }: LineTerms,
): LineSubmission {
  return {
    spec: {
      tenant,
      key,
      ...request,
      priority,
      on_retry: "continue",
      metadata: {},
      admit_ms: 0,
    },
    model,
    deadlineMs,
    retentionMs,
    // Nobody has been shown anything of it.
    canRestart: true,
    weight,
    limits,
  };
}
