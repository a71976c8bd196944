import type { IncomingMessage } from "node:http";

/** What ends a body that takes too long. */
interface Deadline {
  readonly timer: NodeJS.Timeout;
  readonly onLate: () => void;
}

const deadlines = new WeakMap<IncomingMessage, Deadline>();

/**
 * Give a request's body so long to come, unless `boundByIdleness` says otherwise; `onLate` ends what
 * takes longer. Node's own bound is the whole server's, and a large upload may take an hour.
 */
export function boundBody(request: IncomingMessage, withinMs: number, onLate: () => void): void {
  const { "content-length": length = "0", "transfer-encoding": encoding } = request.headers;
  if (encoding === undefined && length === "0") return;
  start(request, withinMs, onLate);
  request.once("close", () => clearTimeout(deadlines.get(request)?.timer));
}

/**
 * Let a body take as long as it likes, as long as some of it comes within each `idleMs`.
 *
 * @returns to be called with each part that came
 */
export function boundByIdleness(request: IncomingMessage, idleMs: number): () => void {
  const before = deadlines.get(request);
  if (before === undefined) return () => {};
  clearTimeout(before.timer);
  const { timer } = start(request, idleMs, before.onLate);
  return () => void timer.refresh();
}

function start(request: IncomingMessage, afterMs: number, onLate: () => void): Deadline {
  const timer = setTimeout(() => {
    // What has come whole and was not read is no fault of its sender's.
    if (!request.complete) onLate();
  }, afterMs);
  const deadline = { timer, onLate };
  deadlines.set(request, deadline);
  return deadline;
}
