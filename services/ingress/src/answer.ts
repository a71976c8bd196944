import { ERRORS, PlatformError, toErrorBody, type ErrorBody } from "@headrace/contract";

import type { Exchange } from "./exchange.ts";

/** A refused call may be repeated after this long: the queue is back, or another process serves. */
const RETRY_AFTER_SECONDS = "1";
/** A full queue takes longer: jobs must end and be forgotten. */
const RETRY_AFTER_FULL_SECONDS = "10";

const LONGEST_WAIT_MS = 60_000;
const MS_PER_SECOND = 1_000;

/** Headers of an answer beside those that all have. */
export type Headers = Readonly<Record<string, string>>;

/** Start an answer. */
export function writeHead(exchange: Exchange, status: number, headers: Headers): void {
  exchange.response.writeHead(status, {
    ...exchange.commonHeaders,
    ...exchange.gainedHeaders,
    "x-request-id": exchange.requestId,
    ...(exchange.isTimed ? { "x-process-time": secondsSince(exchange.arrivedAtMs) } : {}),
    ...headers,
  });
}

/** As FastAPI's servers say it. */
function secondsSince(startedAtMs: number): string {
  return ((performance.now() - startedAtMs) / 1_000).toFixed(6);
}

/** Answer with a JSON body. */
export function sendJson(
  exchange: Exchange,
  status: number,
  content: { readonly body: unknown; readonly headers?: Headers },
): void {
  sendText(exchange, status, {
    text: JSON.stringify(content.body),
    headers: { "content-type": "application/json", ...content.headers },
  });
}

/** Answer with a whole text. The headers must say its type. */
export function sendText(
  exchange: Exchange,
  status: number,
  { text, headers }: { readonly text: string; readonly headers: Headers },
): void {
  const length = String(Buffer.byteLength(text));
  writeHead(exchange, status, { "content-length": length, ...headers });
  exchange.response.end(text);
}

/** Answer with an error in OpenAI's shape. */
export function sendError(
  exchange: Exchange,
  status: number,
  { error, headers = {} }: { readonly error: ErrorBody; readonly headers?: Headers },
): void {
  const added: Record<string, string> = { ...headers };
  if (status === ERRORS.queue_unavailable.status) {
    const isFull = error.code === "queue_full";
    added["retry-after"] = isFull ? RETRY_AFTER_FULL_SECONDS : RETRY_AFTER_SECONDS;
  }
  if (status === ERRORS.api_key_invalid.status) added["www-authenticate"] = "Bearer";
  sendJson(exchange, status, { body: { error }, headers: added });
}

/** What a caller is told of a failure: what a PlatformError says, and of anything else nothing. */
export function toPlatformError(error: unknown): PlatformError {
  if (error instanceof PlatformError) return error;
  return new PlatformError("internal", "something went wrong on our side; quote the x-request-id", {
    cause: error,
  });
}

/** A platform error as `sendError` takes it. */
export function toErrorAnswer(error: PlatformError): {
  readonly error: ErrorBody;
  readonly headers: Headers;
} {
  return { error: toErrorBody(error), headers: toWaitHeaders(error) };
}

/** OpenAI's SDKs heed no wait that is longer than a minute: a caller who asks then is told anew. */
function toWaitHeaders({ waitMs }: PlatformError): Headers {
  if (waitMs === undefined) return {};
  if (waitMs === null) return { "x-should-retry": "false" };
  const heededMs = Math.min(waitMs, LONGEST_WAIT_MS);
  return {
    "retry-after": String(Math.ceil(heededMs / MS_PER_SECOND)),
    "retry-after-ms": String(heededMs),
  };
}
