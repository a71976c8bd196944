import { once } from "node:events";

import { writeHead, type Headers } from "../answer.ts";
import { onceClosed, type Exchange } from "../exchange.ts";

/** An answer whose body is read from storage. */
export interface ObjectAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** What to send, opened in turn, each when the one before is out. */
  readonly bodies: AsyncIterable<AsyncIterable<Uint8Array>>;
  /** A reader that takes nothing for this long is disconnected, ms. */
  readonly drainMs: number;
}

/**
 * Send objects as they are read, no faster than the caller takes them. Resolves when the answer is
 * over, also by the caller's leave.
 */
export async function sendObjects(exchange: Exchange, answer: ObjectAnswer): Promise<void> {
  const { response } = exchange;
  let isOpen = true;
  onceClosed(exchange, () => (isOpen = false));
  let hasStarted = false;
  for await (const body of answer.bodies) {
    for await (const chunk of body) {
      if (!isOpen) return;
      // Whatever keeps the first bytes away is still answered as what it is.
      if (!hasStarted) writeHead(exchange, answer.status, answer.headers);
      hasStarted = true;
      if (!response.write(chunk) && !(await isDrained(exchange, answer.drainMs))) return;
    }
  }
  if (!hasStarted) writeHead(exchange, answer.status, answer.headers);
  response.end();
}

/** Wait for a caller to take what was sent. @returns false when it is gone, or takes nothing */
async function isDrained({ response }: Exchange, drainMs: number): Promise<boolean> {
  const signal = AbortSignal.timeout(drainMs);
  const ended = new AbortController();
  const onClosed = (): void => ended.abort();
  response.once("close", onClosed);
  try {
    await once(response, "drain", { signal: AbortSignal.any([signal, ended.signal]) });
    return true;
  } catch {
    response.destroy();
    return false;
  } finally {
    response.off("close", onClosed);
  }
}
