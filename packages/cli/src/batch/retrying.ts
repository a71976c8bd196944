import { setTimeout as sleep } from "node:timers/promises";

import { HeadraceError } from "@headrace/client";

/** Tries of a transfer, the first included. */
const MOST_TRIES = 6;
const FIRST_PAUSE_MS = 1_000;

/**
 * Do `work`, and again after growing pauses (31 s in all) where that can help.
 *
 * @throws HeadraceError of the last try; the signal's reason
 */
export async function retrying<Result>(
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      const mayHelp = error instanceof HeadraceError && error.retryable && tries < MOST_TRIES;
      if (!mayHelp) throw error;
      await sleep(error.retryAfterMs ?? FIRST_PAUSE_MS * 2 ** (tries - 1), undefined, { signal });
    }
  }
}
