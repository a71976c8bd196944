import type { IncomingMessage } from "node:http";

import { PlatformError } from "@headrace/contract";
import { parseJson, validate } from "@headrace/endpoints";
import { z } from "zod";

/** `application/json`, in UTF-8 if it says: the only encoding JSON has (RFC 8259, 8.1). */
const JSON_TYPE = /^application\/json *(; *charset="?utf-?8"? *)?$/i;
/** A caller that sends this many times the limit is not going to read the answer. */
const PATIENCE_FACTOR = 8;

/**
 * Read a request's JSON body.
 *
 * A body over the limit is refused as soon as that is known, and what still comes is dropped, so
 * that the caller can read why. The server's request timeout bounds the whole.
 *
 * @throws PlatformError `media_type_unsupported`, `request_too_large`, or `request_invalid` for
 *   what is not JSON, nests too deeply or holds too much, or has a `__proto__` key
 */
export async function readJsonBody(request: IncomingMessage, limitBytes: number): Promise<unknown> {
  assertReadable(request);
  return parseJson(await readBytes(request, limitBytes));
}

/**
 * Read the body of a call that may be made without: its absence is an empty object.
 *
 * @throws PlatformError as `readJsonBody`
 */
export async function readOptionalBody(
  request: IncomingMessage,
  limitBytes: number,
): Promise<unknown> {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  if (encoding === undefined && (length === undefined || length === "0")) return {};
  return readJsonBody(request, limitBytes);
}

/**
 * Read the body of a call that takes none: it may be absent, or an empty JSON object.
 *
 * @throws PlatformError `request_invalid` naming the first field of any other, and as `readJsonBody`
 */
export async function readEmptyBody(request: IncomingMessage, limitBytes: number): Promise<void> {
  validate(z.strictObject({}), await readOptionalBody(request, limitBytes));
}

function assertReadable({ headers }: IncomingMessage): void {
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new PlatformError(
      "media_type_unsupported",
      "compressed bodies are not accepted; send the JSON as it is",
    );
  }
  if (!JSON_TYPE.test(headers["content-type"] ?? "")) {
    throw new PlatformError(
      "media_type_unsupported",
      "expected the header content-type: application/json",
    );
  }
}

async function readBytes(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  if (Number(request.headers["content-length"] ?? 0) > limitBytes) {
    dropRest(request, limitBytes * PATIENCE_FACTOR);
    throw tooLarge(limitBytes);
  }
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const onData = (chunk: Buffer): void => {
    sizeBytes += chunk.length;
    chunks.push(chunk);
    if (sizeBytes <= limitBytes) return;
    chunks.length = 0;
    request.off("data", onData);
    dropRest(request, limitBytes * PATIENCE_FACTOR);
    reject(tooLarge(limitBytes));
  };
  request.on("data", onData);
  request.once("end", () => {
    const [only] = chunks;
    resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, sizeBytes));
  });
  request.once("close", () => {
    // Nobody is left to read this. Making an error costs too much to make one for each request.
    if (!request.readableEnded) reject(invalid("the body broke off"));
  });
  return promise;
}

/**
 * Take what is left of a body that nobody is going to read, so that its sender can read the answer
 * first; a sender that goes on for too long is disconnected.
 */
export function dropUnread(request: IncomingMessage, limitBytes: number): void {
  const { "content-length": length = "0", "transfer-encoding": encoding } = request.headers;
  const hasBody = encoding !== undefined || length !== "0";
  if (!hasBody || request.readableFlowing !== null) return;
  dropRest(request, limitBytes * PATIENCE_FACTOR);
}

/** Take and drop what still comes of a body; a sender that goes on for longer is disconnected. */
export function dropRest(request: IncomingMessage, mostBytes: number): void {
  let droppedBytes = 0;
  request.on("data", (chunk: Buffer) => {
    droppedBytes += chunk.length;
    if (droppedBytes > mostBytes) request.destroy();
  });
  // One that was read by halves is paused.
  request.resume();
}

function tooLarge(limitBytes: number): PlatformError {
  return new PlatformError("request_too_large", `the body is over ${limitBytes} bytes`);
}

function invalid(message: string): PlatformError {
  return new PlatformError("request_invalid", message);
}
