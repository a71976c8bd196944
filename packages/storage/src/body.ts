import { addAbortListener } from "node:events";

/**
 * Go through a body's chunks, and stop with the signal's reason when it is aborted, even while the body
 * is silent. A body that is left early is told so, and not waited for.
 *
 * @yields the chunks
 */
export async function* chunksOf(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  signal?.throwIfAborted();
  if (body instanceof Uint8Array) {
    yield body;
    return;
  }
  const chunks = body[Symbol.asyncIterator]();
  let hasEnded = false;
  try {
    for (;;) {
      const next = await unlessAborted(chunks.next(), signal);
      hasEnded = next.done === true;
      if (next.done === true) return;
      yield next.value;
      signal?.throwIfAborted();
    }
  } finally {
    // A generator that waits for something takes notice only once that has come, which may be never.
    if (!hasEnded) chunks.return?.().catch(() => {});
  }
}

/** Wait for an answer until the signal is aborted, and then throw its reason. */
async function unlessAborted<Answer>(
  answer: Promise<Answer>,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  if (signal === undefined) return answer;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  using _ = addAbortListener(signal, () => reject(signal.reason));
  answer.then(resolve, reject);
  return await promise;
}
