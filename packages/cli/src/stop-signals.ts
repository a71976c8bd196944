import { INTERRUPTED } from "./failure.ts";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** npm passes on the Ctrl-C that the terminal has sent to us as well: both are one wish, ms. */
const SAME_WISH_MS = 1_000;

/**
 * Do `work` until it ends or this process is told to stop, which aborts the signal.
 *
 * @param kill ends at once whatever runs: called when told a second time, before the process exits
 */
export async function whileStoppable<Result>(
  work: (signal: AbortSignal) => Promise<Result>,
  kill: () => void,
): Promise<Result> {
  const controller = new AbortController();
  let lastAtMs = Number.NEGATIVE_INFINITY;
  const stop = (): void => {
    const now = performance.now();
    const isSameWish = now - lastAtMs < SAME_WISH_MS;
    lastAtMs = now;
    if (isSameWish) return;
    if (controller.signal.aborted) {
      kill();
      process.exit(INTERRUPTED);
    }
    controller.abort();
  };
  for (const name of STOP_SIGNALS) process.on(name, stop);
  try {
    return await work(controller.signal);
  } finally {
    for (const name of STOP_SIGNALS) process.off(name, stop);
  }
}
