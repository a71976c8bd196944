import type { BatchRecord } from "@headrace/broker";
import type { Log, Metrics } from "@headrace/runtime";

import type { RunEnd } from "./batch-run.ts";

const ENDS = ["completed", "failed", "expired", "cancelled"] as const;

/** What this process counts and says of batches. Neither prompts nor ids reach a metric. */
export class BatcherEvents {
  readonly #log: Log;
  readonly #ended;
  readonly #lines;
  /** Told of failures that the work waits out. */
  readonly troubled: (error: Error) => void;

  constructor(
    metrics: Metrics,
    log: Log,
    wiring: { readonly report: (error: Error) => void; readonly countRunning: () => number },
  ) {
    this.#log = log;
    this.troubled = wiring.report;
    this.#ended = metrics.counter(
      "headrace_batches_ended_total",
      "Batches that this process ended, by their last status",
      ["status"],
    );
    this.#lines = metrics.counter(
      "headrace_batch_lines_total",
      "Lines of batches whose results this process made safe, by what they came to",
      ["outcome"],
    );
    metrics.gauge(
      "headrace_batches_running",
      "Batches that this process has now",
      wiring.countRunning,
    );
    for (const status of ENDS) this.#ended.inc({ status }, 0);
    for (const outcome of ["completed", "failed"]) this.#lines.inc({ outcome }, 0);
  }

  claimed({ id, status }: BatchRecord, isResumed: boolean): void {
    this.#log.info({ batch: id, status, isResumed }, "batch taken up");
  }

  stored(completed: number, failed: number): void {
    this.#lines.inc({ outcome: "completed" }, completed);
    this.#lines.inc({ outcome: "failed" }, failed);
  }

  left({ id }: BatchRecord, end: RunEnd): void {
    if (end === "stopped") {
      this.#log.info({ batch: id }, "batch given back");
      return;
    }
    this.#ended.inc({ status: end });
    this.#log.info({ batch: id, status: end }, "batch ended");
  }

  lost({ id }: BatchRecord): void {
    this.#log.warn({ batch: id }, "the batch is another batcher's now");
  }

  broken({ id }: BatchRecord, error: unknown): void {
    this.#log.error({ batch: id, error }, "the batch cannot go on here; another batcher may try");
  }
}
