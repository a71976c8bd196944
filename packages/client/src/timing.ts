import { HeadraceError } from "./error.ts";

/** How patient a client is; all in ms. */
export interface Timing {
  /** Longest wait for an answer to one try of a call, beyond what a long poll asks for. */
  readonly answerMs: number;
  /** An event stream silent for longer is taken for dead: three of the server's heartbeats. */
  readonly silenceMs: number;
  /** First pause before trying again; doubles with each try. */
  readonly firstPauseMs: number;
  /** Longest pause that is not asked for by the server. */
  readonly longestPauseMs: number;
  /** How long a wait for a job or its events outlives a server that cannot be reached. */
  readonly outageMs: number;
}

/** Told of a failure that is tried again, and after what pause in ms. */
export type OnRetry = (error: HeadraceError, pauseMs: number) => void;

export const DEFAULT_TIMING: Timing = {
  answerMs: 30_000,
  silenceMs: 45_000,
  firstPauseMs: 250,
  longestPauseMs: 8_000,
  outageMs: 300_000,
};

/** Longest pause taken because a server asks for it; a longer one is the caller's to decide. */
const LONGEST_ASKED_MS = 60_000;

/**
 * Say how long to wait before try `tries + 1`, ms.
 *
 * Between half and all of a doubling bound, so that many clients do not come back at once. What
 * the server asks for is the least.
 *
 * @returns null when the server asks for longer than a minute
 */
export function pauseBefore(tries: number, error: HeadraceError, timing: Timing): number | null {
  const bound = Math.min(timing.firstPauseMs * 2 ** (tries - 1), timing.longestPauseMs);
  const pauseMs = bound * (0.5 + Math.random() / 2);
  const askedMs = error.retryAfterMs ?? 0;
  return askedMs > LONGEST_ASKED_MS ? null : pauseMs + askedMs;
}

/** Resolve after a time; reject with the signal's reason when it aborts before. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = (): void => reject(signal?.reason);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

/**
 * Judges how a call that survives outages goes on: with growing pauses, until nothing has been
 * heard for `outageMs`; not at all after a failure that waiting does not mend.
 */
export class Outage {
  readonly #timing: Timing;
  readonly #onRetry: OnRetry;
  #beganAtMs: number | null = null;
  #tries = 0;
  #triedAtMs = 0;

  constructor(timing: Timing, onRetry: OnRetry) {
    this.#timing = timing;
    this.#onRetry = onRetry;
  }

  /** The server was heard: it is there, even if it has nothing to say. */
  hear(): void {
    this.#beganAtMs = null;
  }

  /** Something new came: the next failure is the first of its kind. */
  end(): void {
    this.#beganAtMs = null;
    this.#tries = 0;
  }

  /** Wait before the next try, or throw `failure` (or the signal's reason). */
  async pause(failure: unknown, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!(failure instanceof HeadraceError) || !failure.retryable) throw failure;
    const now = performance.now();
    this.#beganAtMs ??= now;
    if (now - this.#beganAtMs > this.#timing.outageMs) throw failure;
    // A try that took this long is no storm, whatever ended it: idle connections are cut by proxies.
    if (now - this.#triedAtMs > this.#timing.longestPauseMs) this.#tries = 0;
    this.#tries += 1;
    const pauseMs = pauseBefore(this.#tries, failure, this.#timing) ?? LONGEST_ASKED_MS;
    this.#onRetry(failure, pauseMs);
    await pause(pauseMs, signal);
    this.#triedAtMs = performance.now();
  }
}
