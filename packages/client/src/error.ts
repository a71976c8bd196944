import { errorBodySchema, type ErrorBody } from "@headrace/contract";

/** What a failure is made from. */
export interface HeadraceErrorFields {
  /** HTTP status of the answer; null when there was none. */
  readonly status: number | null;
  /** The platform's code, or one of the client's own: see `HeadraceError`. */
  readonly code: string;
  readonly param?: string | null;
  readonly requestId?: string | null;
  readonly retryable: boolean;
  /** How long the server asks to wait, ms. */
  readonly retryAfterMs?: number | null;
}

/**
 * The one error a call to Headrace fails with; an aborted signal rejects with its own reason.
 *
 * Codes are the platform's (`model_not_found`, `queue_unavailable`, …) or the client's own:
 * `connection_failed` and `connection_timeout` (no answer), `connection_lost` (an event stream that
 * could not be resumed), `response_invalid` (not what the API promises), `wait_timeout` (the job
 * goes on), `http_<status>` (an answer that is not Headrace's, as a proxy gives).
 */
export class HeadraceError extends Error {
  override readonly name = "HeadraceError";
  readonly status: number | null;
  readonly code: string;
  /** The request field at fault. */
  readonly param: string | null;
  /** The server's `x-request-id`, to find the call in its log. */
  readonly requestId: string | null;
  /** Whether the same call, unchanged, can succeed later. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;

  constructor(message: string, fields: HeadraceErrorFields, options?: ErrorOptions) {
    super(message, options);
    this.status = fields.status;
    this.code = fields.code;
    this.param = fields.param ?? null;
    this.requestId = fields.requestId ?? null;
    this.retryable = fields.retryable;
    this.retryAfterMs = fields.retryAfterMs ?? null;
  }
}

/** 429 and 503 mean "not accepted"; 502 and 504 come from what stands before Headrace. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Of an error page that is not ours, characters worth showing. */
const SHOWN_CHARACTERS = 200;

/** Read a refusal, which may also be a proxy's page in any form. */
export async function readRefusal(response: Response): Promise<HeadraceError> {
  const { status, headers } = response;
  const text = await response.text();
  const body = findErrorBody(text);
  const shown = text.trim().slice(0, SHOWN_CHARACTERS) || response.statusText;
  return new HeadraceError(body?.message ?? `the server answered ${status}: ${shown}`, {
    status,
    code: body?.code ?? `http_${status}`,
    param: body?.param ?? null,
    requestId: headers.get("x-request-id"),
    retryable: RETRYABLE_STATUSES.has(status) && headers.get("x-should-retry") !== "false",
    retryAfterMs:
      readNumber(headers.get("retry-after-ms")) ?? readRetryAfter(headers.get("retry-after")),
  });
}

/** Turn whatever ended a fetch without an answer into a `HeadraceError`. */
export function toConnectionError(url: URL, cause: unknown): HeadraceError {
  if (cause instanceof HeadraceError) return cause;
  return new HeadraceError(
    `cannot reach ${url.origin}: ${innermostMessage(cause)}`,
    { status: null, code: "connection_failed", retryable: true },
    { cause },
  );
}

/** Say that an answer is not what the API promises. */
export function toInvalidResponse(response: Response, what: string): HeadraceError {
  return new HeadraceError(`${response.url} answered with something else than ${what}`, {
    status: response.status,
    code: "response_invalid",
    requestId: response.headers.get("x-request-id"),
    retryable: false,
  });
}

function findErrorBody(text: string): ErrorBody | null {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body !== "object" || body === null || !("error" in body)) return null;
    return errorBodySchema.safeParse(body.error).data ?? null;
  } catch {
    return null;
  }
}

/** Seconds; the header's other form, a date, is not used by Headrace. */
function readRetryAfter(header: string | null): number | null {
  const seconds = readNumber(header);
  return seconds === null ? null : seconds * 1_000;
}

function readNumber(header: string | null): number | null {
  const number = header === null ? Number.NaN : Number(header);
  return Number.isFinite(number) && number >= 0 ? number : null;
}

/** `fetch` says "fetch failed" and hides why in its cause. */
function innermostMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.cause !== undefined) return innermostMessage(error.cause);
  // A host with several addresses fails with one error for each, and no message of its own.
  if (error instanceof AggregateError) return error.errors.map(innermostMessage).join(", ");
  return error.message;
}
