import type { Metrics } from "@headrace/runtime";
import { ERRORS, type ErrorCode, type Usage } from "@headrace/contract";

/** What becomes of attempts. */
const ENDS = ["completed", "failed", "retried", "handed_back", "lost"] as const;
type AttemptEnd = (typeof ENDS)[number];

/** What a worker counts. Each event of its trade has exactly one method here. */
export class WorkerEvents {
  readonly #attempts;
  readonly #errors;
  readonly #tokens;

  constructor(metrics: Metrics, gauges: { inFlight: () => number; window: () => number }) {
    this.#attempts = metrics.counter("headrace_attempts_total", "Attempts by how they ended", [
      "end",
    ]);
    this.#errors = metrics.counter("llm_errors_total", "Failures by code", ["code"]);
    this.#tokens = metrics.counter("llm_tokens_processed_total", "Tokens by type", ["type"]);
    metrics.gauge("llm_active_requests", "Jobs at the engine", gauges.inFlight);
    metrics.gauge("headrace_window_size", "Jobs to keep at the engine", gauges.window);
    // Series that exist from the start can be alerted on.
    for (const end of ENDS) this.#attempts.inc({ end }, 0);
    for (const code of Object.keys(ERRORS)) this.#errors.inc({ code }, 0);
    for (const type of ["input", "output"]) this.#tokens.inc({ type }, 0);
  }

  attemptEnded(end: AttemptEnd): void {
    this.#attempts.inc({ end });
  }

  engineFailed(code: ErrorCode): void {
    this.#errors.inc({ code });
  }

  tokensProcessed(usage: Usage): void {
    this.#tokens.inc({ type: "input" }, usage.prompt_tokens);
    this.#tokens.inc({ type: "output" }, usage.completion_tokens ?? 0);
  }
}
