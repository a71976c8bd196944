import type { IngressBroker } from "@headrace/broker";
import type { Priority } from "@headrace/contract";
import { readResponseRequest, toChatRequest, toResponseSpec } from "@headrace/endpoints";

import type { Caller } from "../caller.ts";
import {
  DEFAULTS,
  findModel,
  ownerOf,
  readDeadline,
  readIdempotencyKey,
  readPriority,
  toMs,
  type JobForm,
} from "../submission-form.ts";

/** A response as its caller wants it. */
export interface ResponseForm {
  readonly form: JobForm;
  readonly isStreamed: boolean;
  readonly isBackground: boolean;
  readonly isStored: boolean;
}

/** OpenAI's classes of service, as priorities. What is not named has its kind's default. */
const PRIORITY_BY_TIER: Readonly<Partial<Record<string, Priority>>> = {
  flex: "batch",
  priority: "interactive",
  fast: "interactive",
};

/**
 * Read the body of `POST /v1/responses` as a job: a chat completion, and what its response must show.
 *
 * @throws PlatformError `request_invalid` naming the field, `model_not_found`
 */
export async function readResponseForm(
  broker: IngressBroker,
  caller: Caller,
  {
    body,
    headers,
  }: { readonly body: unknown; readonly headers: Readonly<Record<string, unknown>> },
): Promise<ResponseForm> {
  const request = readResponseRequest(body);
  const isBackground = request.background === true;
  const isStreamed = request.stream === true;
  const isStored = request.store !== false;
  const defaults = isBackground ? BACKGROUND : SYNCHRONOUS;
  const chat = toChatRequest(request);
  const form: JobForm = {
    spec: {
      ...ownerOf(caller),
      endpoint: "/v1/chat/completions",
      priority:
        readPriority(headers) ?? PRIORITY_BY_TIER[request.service_tier ?? ""] ?? defaults.priority,
      on_retry: "continue",
      metadata: request.metadata ?? {},
      request: chat,
      response: toResponseSpec(request),
    },
    weight: caller.weight,
    limits: caller.limits,
    model: await findModel(broker, chat, "model"),
    // What an OpenAI client has been streamed cannot be taken back.
    canRestart: !isStreamed,
    deadlineMs: toMs(readDeadline(headers) ?? defaults.deadlineSeconds),
    retentionMs: isStored ? toMs(DEFAULTS.jobRetentionSeconds) : 0,
    idempotencyKey: isBackground ? readIdempotencyKey(headers["idempotency-key"]) : null,
  };
  return { form, isStreamed, isBackground, isStored };
}

const BACKGROUND = {
  priority: DEFAULTS.jobPriority,
  deadlineSeconds: DEFAULTS.jobDeadlineSeconds,
} as const;
const SYNCHRONOUS = {
  priority: DEFAULTS.synchronousPriority,
  deadlineSeconds: DEFAULTS.synchronousDeadlineSeconds,
} as const;
