import { ConfigurationError } from "./environment.ts";
import type { Log } from "./log.ts";

/** A stop that takes longer than this is a bug or a hung peer, unless `main` says otherwise: leave all the same. */
const STOP_MS = 25_000;

/**
 * Run a process' main function until it ends or the process is told to stop.
 *
 * SIGTERM and SIGINT abort the signal; `main` releases everything and returns, and the event loop
 * empties. A second signal, or 25 s, ends the process at once. A failure sets exit code 1.
 *
 * @param main is given the signal, and a function with which it says that stopping may take longer
 *   than 25 s: so many ms
 */
export async function runService(
  log: Log,
  main: (signal: AbortSignal, stopWithin: (ms: number) => void) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  let stopMs = STOP_MS;
  const stop = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(1);
    log.info({ signal: name }, "stopping");
    controller.abort();
    setTimeout(() => {
      log.error({ stopMs }, "did not stop in time");
      process.exit(1);
    }, stopMs).unref();
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  try {
    await main(controller.signal, (ms) => (stopMs = Math.max(STOP_MS, ms)));
    log.info({}, "stopped");
  } catch (error) {
    if (error instanceof ConfigurationError) process.stderr.write(`${error.message}\n`);
    log.error({ error }, "failed");
    process.exitCode = 1;
  } finally {
    process.off("SIGTERM", stop);
    process.off("SIGINT", stop);
  }
}

/** Resolve once the signal is aborted. */
export async function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
}
