import type { Headrace } from "@headrace/client";
import type { Job } from "@headrace/contract";

import { formatDuration } from "./duration.ts";
import { paint, type Output } from "./terminal.ts";

/** How often the place in the queue is asked for, ms. */
const LOOK_MS = 1_000;
const ERASE_LINE = "\r\u001B[2K";

/** What the line is made from. */
type Standing = Pick<Job, "status" | "waiting_reason" | "queue_position" | "eta_seconds">;

/** One line, rewritten in place, that says what a job waits for. Shows at a terminal only. */
export class WaitingLine {
  readonly #headrace: Headrace;
  readonly #job: string;
  readonly #output: Output;
  #looking: AbortController | null = null;
  #isShown = false;

  constructor(headrace: Headrace, job: string, output: Output) {
    this.#headrace = headrace;
    this.#job = job;
    this.#output = output;
  }

  /** Show where the job stands, and keep it up to date until `stop`. */
  start(): void {
    if (!this.#output.isTty || this.#looking !== null) return;
    const looking = new AbortController();
    this.#looking = looking;
    // #look settles its own failures: the line just stays as it is.
    void this.#look(looking.signal);
  }

  /** Take the line away. */
  stop(): void {
    this.#looking?.abort();
    this.#looking = null;
    if (this.#isShown) this.#output.write(ERASE_LINE);
    this.#isShown = false;
  }

  async #look(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const job = await this.#headrace.get(this.#job, { signal }).catch(() => null);
      if (signal.aborted) return;
      if (job !== null) this.#show(describeStanding(job));
      await pause(LOOK_MS, signal);
    }
  }

  #show(text: string): void {
    // A line that wraps could not be rewritten.
    const fitting = text.slice(0, this.#output.columns - 1);
    this.#output.write(`${ERASE_LINE}${paint(this.#output, "dim", fitting)}`);
    this.#isShown = true;
  }
}

/** Say in a few words what a job waits for. */
export function describeStanding(job: Standing): string {
  if (job.status === "in_progress") return "waiting for the first token …";
  if (job.status !== "queued") return `${job.status} …`;
  if (job.waiting_reason === "no_worker") return "queued · no worker serves this model yet …";
  const { queue_position: position, eta_seconds: eta } = job;
  const place = position === null || position === 0 ? "next" : `${position} ahead`;
  const start = eta === null ? "" : ` · starts in about ${formatDuration(Math.max(1, eta))}`;
  return `queued · ${place}${start} …`;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
