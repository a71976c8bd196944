import { addAbortListener } from "node:events";

/** What ends a body before its end. */
interface Bounds {
  readonly signal?: AbortSignal | undefined;
  /** How long it may be silent while a chunk is waited for; as long as it likes unless given. */
  readonly silenceMs?: number;
}

/**
 * Go through a body's chunks, and stop with the signal's reason when it is aborted, even while the body
 * is silent. A body that is left early is told so, and not waited for.
 *
 * @yields the chunks
 * @throws DOMException `TimeoutError` when it is silent for too long
 */
export async function* chunksOf(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  bounds: Bounds,
): AsyncGenerator<Uint8Array, void, void> {
  bounds.signal?.throwIfAborted();
  if (body instanceof Uint8Array) {
    yield body;
    return;
  }
  const chunks = body[Symbol.asyncIterator]();
  let hasEnded = false;
  try {
    for (;;) {
      const next = await within(chunks.next(), bounds);
      hasEnded = next.done === true;
      if (next.done === true) return;
      yield next.value;
      bounds.signal?.throwIfAborted();
    }
  } finally {
    // A generator that waits for something takes notice only once that has come, which may be never.
    if (!hasEnded) chunks.return?.().catch(() => {});
  }
}

/** Wait for an answer until the signal is aborted, or too long. */
async function within<Answer>(
  answer: Promise<Answer>,
  { signal, silenceMs }: Bounds,
): Promise<Answer> {
  if (signal === undefined && silenceMs === undefined) return answer;
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  using listening = new DisposableStack();
  if (signal !== undefined) {
    listening.use(addAbortListener(signal, () => reject(signal.reason)));
  }
  if (silenceMs !== undefined) {
    const late = setTimeout(() => {
      reject(new DOMException(`nothing came for ${silenceMs} ms`, "TimeoutError"));
    }, silenceMs);
    listening.defer(() => clearTimeout(late));
  }
  answer.then(resolve, reject);
  return await promise;
}
