import { createHash } from "node:crypto";

/** What a socket gives at once. */
const CHUNK_BYTES = 65_536;

/**
 * A body in pieces.
 *
 * @yields each of them
 */
export async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

/**
 * A body of so many bytes.
 *
 * @yields chunks as a socket gives them, no two alike
 */
export async function* bytes(sizeBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
    yield Buffer.alloc(Math.min(CHUNK_BYTES, sizeBytes - at), `${at}.`);
  }
}

/**
 * A body that fails once it has given all of another.
 *
 * @yields what the other does
 */
export async function* failing(
  body: AsyncIterable<Uint8Array>,
  error: Error,
): AsyncGenerator<Uint8Array> {
  yield* body;
  throw error;
}

/**
 * A body that tells when it has given all of another, and says nothing more, ever.
 *
 * @yields what the other does
 */
export async function* silent(
  body: AsyncIterable<Uint8Array>,
  onSilence: () => void,
): AsyncGenerator<Uint8Array> {
  yield* body;
  onSilence();
  await new Promise<never>(() => {});
}

/** All of a body, as text. */
export async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A body's digest, in hex, and its size. */
export async function digestOf(
  body: AsyncIterable<Uint8Array>,
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), sizeBytes };
}
