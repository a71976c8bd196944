import type { IngressBroker, JobRecord, KnownModel, Submission } from "@headrace/broker";
import {
  deadlineSecondsSchema,
  isTerminal,
  PlatformError,
  prioritySchema,
  submitSchema,
  type Endpoint,
  type EngineRequest,
  type Priority,
} from "@headrace/contract";
import { REQUESTS_BY_ENDPOINT, validate } from "@headrace/endpoints";
import { z } from "zod";

import type { Caller } from "./caller.ts";

/** What a job gets whose caller did not say; the durations are seconds. */
export const DEFAULTS = {
  jobDeadlineSeconds: 3_600,
  synchronousDeadlineSeconds: 60,
  jobRetentionSeconds: 24 * 3_600,
  /** Long enough to look into what a call came to; its caller has the answer already. */
  synchronousRetentionSeconds: 600,
  jobPriority: "standard",
  synchronousPriority: "interactive",
} as const;

/** Where the fields of the engine's request stand in the body of `POST /v1/jobs`. */
const REQUEST_FIELD = "request";

/** Longest `Idempotency-Key`, as Stripe bounds it. */
export const LONGEST_KEY = 255;

export const DEADLINE_HEADER = "x-headrace-deadline-seconds";
export const PRIORITY_HEADER = "x-headrace-priority";

const deadlineHeaderSchema = z
  .string()
  .regex(/^\d{1,9}(\.\d{1,9})?$/, "expected a number of seconds")
  .transform(Number)
  .pipe(deadlineSecondsSchema);

const idempotencyKeySchema = z.string().min(1).max(LONGEST_KEY);

/** A job as its caller wants it. `admit` makes of it what can be submitted. */
export type JobForm = Omit<Submission, "spec" | "attachedTo"> & {
  readonly spec: Omit<Submission["spec"], "admit_ms">;
};

/** A call as its caller wants it answered. */
export interface CallForm {
  readonly form: JobForm;
  readonly isStreamed: boolean;
  /** The caller wants token counts at the end of the stream. */
  readonly includesUsage: boolean;
}

/**
 * Read the body of `POST /v1/jobs`.
 *
 * @throws PlatformError `request_invalid` naming the field, `model_not_found`
 */
export async function readJobForm(
  broker: IngressBroker,
  caller: Caller,
  { body, idempotencyKey }: { readonly body: unknown; readonly idempotencyKey: unknown },
): Promise<JobForm> {
  const submit = validate(submitSchema, body);
  validate(REQUESTS_BY_ENDPOINT[submit.endpoint], submit.request, REQUEST_FIELD);
  return {
    spec: {
      ...ownerOf(caller),
      endpoint: submit.endpoint,
      priority: submit.priority ?? DEFAULTS.jobPriority,
      on_retry: submit.on_retry ?? "continue",
      metadata: submit.metadata ?? {},
      request: submit.request,
      ...(submit.webhook === undefined ? {} : { webhook: submit.webhook }),
    },
    model: await findModel(broker, submit.request, `${REQUEST_FIELD}.model`),
    canRestart: submit.on_retry !== "fail",
    deadlineMs: toMs(submit.deadline_seconds ?? DEFAULTS.jobDeadlineSeconds),
    retentionMs: toMs(submit.retention_seconds ?? DEFAULTS.jobRetentionSeconds),
    idempotencyKey: readIdempotencyKey(idempotencyKey),
    weight: caller.weight,
    limits: caller.limits,
  };
}

/**
 * Ask again for what an ended job was to do: all that its caller chose, from the start.
 *
 * @throws PlatformError `job_not_ended` for an open job, `job_completed` for one that has its
 *   result, `request_invalid` for a bad key
 */
export async function toRetryForm(
  broker: IngressBroker,
  caller: Caller,
  { record, idempotencyKey }: { readonly record: JobRecord; readonly idempotencyKey: unknown },
): Promise<JobForm> {
  const { id, status } = record;
  if (!isTerminal(status)) {
    throw new PlatformError("job_not_ended", `${id} is ${status}; cancel it before retrying it`);
  }
  if (status === "completed") {
    throw new PlatformError(
      "job_completed",
      `${id} is completed; submit a new job to run it again`,
    );
  }
  const {
    admit_ms: _timing,
    model: _inTheRequest,
    ...chosen
  } = (await broker.getWhole(record)).spec;
  return {
    spec: { ...chosen, ...ownerOf(caller), retry_of: id },
    model: await findModel(broker, chosen.request, "model"),
    canRestart: chosen.on_retry !== "fail",
    deadlineMs: Math.round(record.deadlineAtMs - record.acceptedAtMs),
    retentionMs: record.retentionMs,
    idempotencyKey: readIdempotencyKey(idempotencyKey),
    weight: caller.weight,
    limits: caller.limits,
  };
}

/**
 * Read the body of one of the engine's own endpoints.
 *
 * @throws PlatformError `request_invalid` naming the field, `model_not_found`
 */
export async function readCallForm(
  broker: IngressBroker,
  caller: Caller,
  {
    endpoint,
    body,
    headers,
  }: {
    readonly endpoint: Endpoint;
    readonly body: unknown;
    readonly headers: Readonly<Record<string, unknown>>;
  },
): Promise<CallForm> {
  const request = validate(REQUESTS_BY_ENDPOINT[endpoint], body);
  const isStreamed = endpoint !== "/v1/embeddings" && request["stream"] === true;
  const form: JobForm = {
    spec: {
      ...ownerOf(caller),
      endpoint,
      priority: readPriority(headers) ?? DEFAULTS.synchronousPriority,
      on_retry: "continue",
      metadata: {},
      request,
    },
    model: await findModel(broker, request, "model"),
    // What an OpenAI client has been streamed cannot be taken back.
    canRestart: !isStreamed,
    deadlineMs: toMs(readDeadline(headers) ?? DEFAULTS.synchronousDeadlineSeconds),
    retentionMs: toMs(DEFAULTS.synchronousRetentionSeconds),
    idempotencyKey: null,
    weight: caller.weight,
    limits: caller.limits,
  };
  return { form, isStreamed, includesUsage: wantsUsage(request) };
}

/** Read who waits from a call's headers. @returns null when they do not say */
export function readPriority(headers: Readonly<Record<string, unknown>>): Priority | null {
  const sent = headers[PRIORITY_HEADER];
  return sent === undefined ? null : validate(prioritySchema, sent, PRIORITY_HEADER);
}

/** Read how long a call may wait to start, seconds. @returns null when its headers do not say */
export function readDeadline(headers: Readonly<Record<string, unknown>>): number | null {
  const sent = headers[DEADLINE_HEADER];
  return sent === undefined ? null : validate(deadlineHeaderSchema, sent, DEADLINE_HEADER);
}

/** What a job says of whose it is. */
export function ownerOf({ tenant, keyId }: Caller): Pick<Submission["spec"], "tenant" | "key"> {
  return { tenant, key: keyId };
}

/** Read an `Idempotency-Key`. @throws PlatformError `request_invalid` for one of a bad length */
export function readIdempotencyKey(sent: unknown): string | null {
  return sent === undefined ? null : validate(idempotencyKeySchema, sent, "Idempotency-Key");
}

const usageOptionSchema = z.looseObject({ include_usage: z.literal(true) });

function wantsUsage(request: EngineRequest): boolean {
  return usageOptionSchema.safeParse(request["stream_options"]).success;
}

/** Find the model that a request names. @throws PlatformError `model_not_found` naming the field */
export async function findModel(
  broker: IngressBroker,
  { model }: EngineRequest,
  param: string,
): Promise<KnownModel> {
  try {
    return await broker.getModel(model);
  } catch (error) {
    if (!(error instanceof PlatformError) || error.code !== "model_not_found") throw error;
    throw new PlatformError(error.code, error.message, { param, cause: error });
  }
}

/** Seconds as the broker takes durations. */
export function toMs(seconds: number): number {
  return Math.round(seconds * 1_000);
}
