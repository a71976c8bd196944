/** What a caller may conclude from a failure, whatever its message says. */
interface ErrorTraits {
  /** HTTP status the ingress answers with. */
  readonly status: number;
  /** OpenAI's `error.type` for this failure. */
  readonly type: string;
  /** Whether sending the same request again, unchanged, can succeed. */
  readonly retryable: boolean;
}

/** Every failure that crosses a process boundary. Codes are API: add, never rename. */
export const ERRORS = {
  request_invalid: { status: 400, type: "invalid_request_error", retryable: false },
  api_key_invalid: { status: 401, type: "authentication_error", retryable: false },
  /** The key is valid, and not for this: another key of the tenant may be. */
  scope_missing: { status: 403, type: "permission_error", retryable: false },
  /** Of the keys that the operator gives out; a caller's own that is unknown is `api_key_invalid`. */
  key_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  tenant_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  job_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  response_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  model_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  /** The same for one that is another tenant's. */
  webhook_endpoint_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  /** None was made for the webhooks of single jobs. */
  webhook_secret_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  webhook_delivery_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  /** No secret was made that the webhook could be signed with. */
  webhook_secret_missing: { status: 409, type: "invalid_request_error", retryable: false },
  webhook_endpoint_limit: { status: 409, type: "invalid_request_error", retryable: false },
  file_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  /** A batch that has not ended reads it, or will. */
  file_in_use: { status: 409, type: "invalid_request_error", retryable: false },
  /** There is no room for another file of the tenant. */
  file_limit: { status: 409, type: "invalid_request_error", retryable: false },
  batch_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  /** It has ended otherwise, or is writing down what it ended with. */
  batch_not_cancellable: { status: 409, type: "invalid_request_error", retryable: false },
  route_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  method_not_allowed: { status: 405, type: "invalid_request_error", retryable: false },
  job_not_ended: { status: 409, type: "invalid_request_error", retryable: false },
  /** The job has its result: there is nothing to run again. */
  job_completed: { status: 409, type: "invalid_request_error", retryable: false },
  /** An earlier call with the same Idempotency-Key made it, and showed its secret. */
  key_exists: { status: 409, type: "invalid_request_error", retryable: false },
  key_revoked: { status: 409, type: "invalid_request_error", retryable: false },
  /** Too many secrets of the key are still valid for another. */
  key_rotating: { status: 409, type: "invalid_request_error", retryable: false },
  /** Another call changed the same key or tenant at the same time, again and again. */
  key_contended: { status: 409, type: "invalid_request_error", retryable: true },
  /** There is no room for another key or tenant. */
  registry_full: { status: 409, type: "invalid_request_error", retryable: false },
  /** The address, with its query. */
  url_too_long: { status: 414, type: "invalid_request_error", retryable: false },
  head_too_large: { status: 431, type: "invalid_request_error", retryable: false },
  request_too_large: { status: 413, type: "invalid_request_error", retryable: false },
  /** Nothing of the file is in the `Range` that was asked for. */
  range_not_satisfiable: { status: 416, type: "invalid_request_error", retryable: false },
  /** Another `Expect` than `100-continue`. */
  expectation_failed: { status: 417, type: "invalid_request_error", retryable: false },
  media_type_unsupported: { status: 415, type: "invalid_request_error", retryable: false },
  idempotency_key_reused: { status: 422, type: "invalid_request_error", retryable: false },
  /** The operator's content filter refuses the prompt. */
  content_rejected: { status: 400, type: "invalid_request_error", retryable: false },
  /** The operator's content filter gave no verdict, and nothing passes without one. */
  content_filter_unavailable: { status: 503, type: "server_error", retryable: true },
  /** An update is under way: an ingress of the later version, asked next, can answer. */
  job_of_later_version: { status: 503, type: "server_error", retryable: true },
  /** A limit a minute is used up; see `retry-after`. */
  rate_limit_exceeded: { status: 429, type: "rate_limit_error", retryable: true },
  /** As many jobs are open as the key may have. */
  job_limit_exceeded: { status: 429, type: "rate_limit_error", retryable: true },
  /** As many batches are open as the tenant may have. */
  batch_limit_exceeded: { status: 429, type: "rate_limit_error", retryable: true },
  /** The tenant's calls hold as much of this server, or its jobs of the queue's memory, as one tenant's may. */
  share_exceeded: { status: 429, type: "rate_limit_error", retryable: true },
  /** The queue is too long for the job to start in time: it is refused rather than left to expire. */
  deadline_unreachable: { status: 429, type: "rate_limit_error", retryable: true },
  /** A month's budget is spent. */
  insufficient_quota: { status: 429, type: "insufficient_quota", retryable: false },
  object_not_found: { status: 404, type: "invalid_request_error", retryable: false },
  /** It was to be stored only where there is none. */
  object_exists: { status: 409, type: "invalid_request_error", retryable: false },
  storage_unavailable: { status: 503, type: "server_error", retryable: true },
  /** There is no room where objects are kept. */
  storage_full: { status: 503, type: "server_error", retryable: true },
  /** The operator has set up no storage for files. */
  storage_unconfigured: { status: 501, type: "server_error", retryable: false },
  /** The operator has set something up that batches would get past. */
  batches_disabled: { status: 501, type: "server_error", retryable: false },
  queue_unavailable: { status: 503, type: "server_error", retryable: true },
  /** Redis is nearly full: no job is taken in until there is room for what those it has will say. */
  queue_full: { status: 503, type: "server_error", retryable: true },
  /** The engine has no room: the job goes back to the queue and no attempt is burned. */
  engine_full: { status: 503, type: "server_error", retryable: true },
  /** The engine could not be reached, or the connection broke before it had ended. */
  engine_unavailable: { status: 502, type: "server_error", retryable: true },
  /** The engine went silent for longer than its budget. */
  engine_timeout: { status: 502, type: "server_error", retryable: true },
  /** The engine answered 5xx, or something that is not its protocol. */
  engine_failed: { status: 502, type: "server_error", retryable: true },
  /** The engine refused the request itself (its 4xx): no other attempt can fare better. */
  engine_rejected: { status: 400, type: "invalid_request_error", retryable: false },
  output_too_large: { status: 502, type: "server_error", retryable: false },
  /** Three workers died while holding the job. */
  worker_crashed: { status: 502, type: "server_error", retryable: false },
  /** Output that was shown could neither be continued exactly nor be taken back. */
  output_interrupted: { status: 502, type: "server_error", retryable: false },
  job_cancelled: { status: 502, type: "server_error", retryable: false },
  deadline_exceeded: { status: 504, type: "server_error", retryable: false },
  internal: { status: 500, type: "server_error", retryable: false },
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof ERRORS;

export interface PlatformErrorOptions extends ErrorOptions {
  /** The request field at fault, as a path: `messages[0].role`. */
  readonly param?: string;
  /** When the same request can succeed, ms from now; null = never, as things stand. */
  readonly waitMs?: number | null;
  /** Which of the things that the code stands for it was, in a word that metrics can count by. */
  readonly reason?: string;
}

/** The one error the platform throws on purpose; anything else is a bug and answers 500. */
export class PlatformError extends Error {
  override readonly name = "PlatformError";
  readonly code: ErrorCode;
  readonly param: string | null;
  /** When the same request can succeed, ms from now; null = never, undefined = nobody knows. */
  readonly waitMs: number | null | undefined;
  readonly reason: string | null;

  constructor(code: ErrorCode, message: string, options: PlatformErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.param = options.param ?? null;
    this.waitMs = options.waitMs;
    this.reason = options.reason ?? null;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}
