import type { z } from "zod";

import type { Method } from "../exchange.ts";
import type { SchemaName } from "./schemas.ts";

export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A parameter as OpenAPI describes it. */
export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly description: string;
  readonly required: boolean;
  readonly schema: JsonSchema;
}

/** One answer an operation can give. */
export interface Reply {
  readonly description: string;
  /** A JSON body of this shape; without it the body is described by `type`, or there is none. */
  readonly schema?: SchemaName;
  readonly type?:
    | "text/event-stream"
    | "text/html"
    | "text/plain"
    | "application/json"
    | "application/jsonl"
    | "application/octet-stream";
  readonly headers?: readonly string[];
}

/** What the API does on one method of one path. The routes and this list are held equal by a test. */
export interface Operation {
  /** What generated clients call it. */
  readonly id: string;
  readonly method: Method;
  readonly path: string;
  readonly tag:
    | "Jobs"
    | "OpenAI"
    | "Batches"
    | "Webhooks"
    | "Usage"
    | "Keys"
    | "Plain server"
    | "Operations";
  readonly summary: string;
  readonly description: string;
  readonly parameters?: readonly Parameter[];
  readonly body?: SchemaName;
  readonly replies: Readonly<Record<number, Reply>>;
  readonly isOpen?: true;
  /** Whether load balancers ask it: no limit turns them away. */
  readonly isProbe?: true;
}

/** What is left of the key's limits: told with every submit, and with what is read. */
export const ALLOWANCE_HEADERS = [
  "x-ratelimit-limit-requests",
  "x-ratelimit-remaining-requests",
  "x-ratelimit-reset-requests",
  "x-ratelimit-limit-tokens",
  "x-ratelimit-remaining-tokens",
  "x-ratelimit-reset-tokens",
  "ratelimit",
  "ratelimit-policy",
] as const;

const error = (description: string): Reply => ({ description, schema: "Error" });

/** Answers that more than one operation gives. */
export const REPLIES = {
  invalid: error("A field is wrong: `param` names it. Nothing was enqueued."),
  unauthorized: error("The API key is missing, wrong, expired or revoked."),
  forbidden: error("The API key lacks the scope for this."),
  jobUnknown: error("There is no such job (any more), or it is not yours."),
  endpointUnknown: error("There is no such webhook endpoint, or it is not yours."),
  deliveryUnknown: error("There is no such delivery (any more), or it is not yours."),
  modelUnknown: error("No worker ever served this model."),
  tooLarge: error("The body is over the limit."),
  mediaType: error("The body is not `application/json`, or is compressed."),
  limited: {
    ...error(
      "A limit of the key's, or of the caller's address, does not let it in: `rate_limit_exceeded`, `job_limit_exceeded` or `insufficient_quota`; or the tenant's calls hold as much of this server as one tenant's may (three quarters of its streams and calls unless `INGRESS_TENANT_STREAM_SHARE` says otherwise, 64 MiB of bodies on their way), or its jobs as much of the queue's memory as one tenant's may: `share_exceeded`; or it could not start by its deadline at the queue's present pace: `deadline_unreachable`. Not accepted. `retry-after`, and to the millisecond `retry-after-ms`, say when it would be; `x-should-retry: false` that waiting does not help.",
    ),
    headers: ["retry-after", "retry-after-ms", ...ALLOWANCE_HEADERS],
  },
  crowded: {
    ...error(
      "Too many requests come from the caller's address: `rate_limit_exceeded`; or more than 1,024 of its tenant's reads wait for the eight that are under way: `share_exceeded`.",
    ),
    headers: ["retry-after", "retry-after-ms"],
  },
  unavailable: error(
    "The queue cannot be reached, or it or this server is full (`queue_full` while Redis is at 70 % of its memory), or the job was made by a later version of Headrace than this server's (`job_of_later_version`, while an update is under way): not accepted, or safe to repeat with the same `Idempotency-Key`. Carries `retry-after`.",
  ),
} as const satisfies Record<string, Reply>;

/** What every operation that takes a key can answer. */
export const COMMON: Operation["replies"] = {
  401: REPLIES.unauthorized,
  403: REPLIES.forbidden,
  503: REPLIES.unavailable,
};
