import { Readable } from "node:stream";

import { GetObjectCommand } from "@aws-sdk/client-s3";

import { PlatformError } from "@headrace/contract";

import { chunksOf } from "./body.ts";
import { explainS3, guardS3, isMissing } from "./s3-error.ts";
import type { S3Target } from "./s3-upload.ts";

/** How long S3 may be silent in the midst of an object. */
const SILENCE_MS = 30_000;
/** How often in a row a connection may break without a byte. */
const MOST_BREAKS = 3;

/** What is read: an object as it was when it was looked for, and which part of it. */
export interface S3Part extends S3Target {
  readonly etag: string;
  /** The whole's. */
  readonly sizeBytes: number;
  readonly start: number;
  /** Included. */
  readonly end: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Read a part of an object, and go on where a connection broke.
 *
 * @yields its bytes
 * @throws PlatformError `storage_unavailable`, also when the object is another meanwhile;
 * `object_not_found`
 */
export async function* downloadPart(part: S3Part): AsyncGenerator<Uint8Array, void, void> {
  let { start } = part;
  let breaks = 0;
  while (start <= part.end) {
    part.signal?.throwIfAborted();
    const stream = await openStream({ ...part, start });
    try {
      for await (const chunk of chunksOf(stream, { signal: part.signal, silenceMs: SILENCE_MS })) {
        start += chunk.length;
        breaks = 0;
        yield chunk;
      }
      if (start > part.end) return;
      throw new PlatformError("storage_unavailable", "storage ended an object before its end");
    } catch (error) {
      part.signal?.throwIfAborted();
      breaks += 1;
      // All that came, and a fault nevertheless: its sum is another.
      if (breaks > MOST_BREAKS || start > part.end) throw explainS3(error);
    } finally {
      stream.destroy();
    }
  }
}

/** Of a whole object the client checks the sum, where S3 knows it. */
async function openStream(part: S3Part): Promise<Readable> {
  const { client, Bucket, Key, etag, start, end, sizeBytes, signal } = part;
  const isWhole = start === 0 && end === sizeBytes - 1;
  const get = new GetObjectCommand({
    Bucket,
    Key,
    IfMatch: etag,
    ...(isWhole ? {} : { Range: `bytes=${start}-${end}` }),
  });
  const { Body } = await guardS3(
    client.send(get, signal === undefined ? {} : { abortSignal: signal }).catch(explainMissing),
    signal,
  );
  if (Body instanceof Readable) return Body;
  throw new PlatformError("storage_unavailable", "storage answered without the object");
}

function explainMissing(error: unknown): never {
  if (isMissing(error)) throw new PlatformError("object_not_found", "there is no such object");
  throw error;
}
