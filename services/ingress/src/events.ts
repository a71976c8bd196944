import { ERRORS, type ErrorCode, type PlatformError } from "@headrace/contract";
import {
  REFUSAL_REASONS,
  type AuditNote,
  type AuditRecord,
  type SweepCounts,
} from "@headrace/broker";
import { createReport, type Log, type Metrics } from "@headrace/runtime";

import type { Exchange } from "./exchange.ts";

/** Edges where service levels are usually drawn, seconds: below a second fine, then coarse. */
const TTFT_SECONDS = [
  0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 1, 1.5, 3, 5, 10, 20, 30, 60, 600,
];
const DURATION_SECONDS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600];
/** What may come of asking the operator's content filter about a prompt. */
type Review = "allow" | "reject" | "redact" | "failed";
const REVIEW_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const REPAIRS = ["expired", "requeued", "removed", "detached", "unbooked"] as const;

/** Each thing that happens here and that somebody may want to count, with its count and log line. */
export class Events {
  readonly #log: Log;
  readonly #report: (error: Error) => void;
  readonly #requests;
  readonly #errors;
  readonly #ttft;
  readonly #duration;
  readonly #repairs;
  readonly #refusals;
  readonly #reviews;
  readonly #dropped;
  #activeCount = 0;

  constructor(metrics: Metrics, log: Log) {
    this.#log = log;
    this.#report = createReport(log);
    this.#requests = metrics.counter("llm_requests_total", "Requests answered", [
      "endpoint",
      "status",
    ]);
    this.#errors = metrics.counter("llm_errors_total", "Errors told to callers", ["code"]);
    this.#ttft = metrics.histogram("llm_ttft_seconds", {
      help: "From a streamed synchronous call's arrival to its first output on the socket",
      buckets: TTFT_SECONDS,
    });
    this.#duration = metrics.histogram("llm_inference_duration_seconds", {
      help: "From a synchronous call's arrival to the end of its job",
      buckets: DURATION_SECONDS,
    });
    this.#repairs = metrics.counter(
      "headrace_sweep_repairs_total",
      "What the sweep mended: jobs expired, put back into the queue, removed from it, cancelled " +
        "for want of a caller, bookings undone",
      ["repair"],
    );
    this.#dropped = metrics.counter(
      "headrace_connections_dropped_total",
      "Connections closed at once, since INGRESS_MAX_CONNECTIONS were open",
    );
    this.#reviews = metrics.histogram("headrace_content_filter_seconds", {
      help: "How long the content filter took, by what it said",
      buckets: REVIEW_SECONDS,
      labelNames: ["verdict"],
    });
    this.#refusals = metrics.counter(
      "headrace_refusals_total",
      "Requests not let in for a limit of their key's or address', their tenant's share of memory, or a deadline out of reach, by which",
      ["reason"],
    );
    metrics.gauge("llm_active_requests", "Requests being answered", () => this.#activeCount);
    for (const code of Object.keys(ERRORS)) this.#errors.inc({ code }, 0);
    for (const repair of REPAIRS) this.#repairs.inc({ repair }, 0);
    for (const reason of REFUSAL_REASONS) this.#refusals.inc({ reason }, 0);
  }

  /** Have a series before its first request: a rate needs the 0 it rose from. */
  expectAnswer(endpoint: string, status: string): void {
    this.#requests.inc({ endpoint, status }, 0);
  }

  requestArrived(): void {
    this.#activeCount += 1;
  }

  requestAnswered({ route, response, requestId, arrivedAtMs }: Exchange): void {
    this.#activeCount -= 1;
    const status = response.headersSent ? response.statusCode : CLIENT_CLOSED;
    this.#requests.inc({ endpoint: route, status: String(status) });
    const seconds = (performance.now() - arrivedAtMs) / 1_000;
    this.#log.debug({ requestId, route, status, seconds }, "request answered");
  }

  connectionDropped(): void {
    this.#dropped.inc();
  }

  errorAnswered({ route, requestId }: Exchange, error: PlatformError): void {
    this.errorTold(error.code);
    if (error.reason !== null) this.#refusals.inc({ reason: error.reason });
    if (error.code !== "internal") return;
    this.#log.error({ requestId, route, ...describeBug(error.cause) }, "request failed by a bug");
  }

  /** An operator did, tried or was denied something: one line each, for those who keep logs. */
  audited(audit: AuditRecord): void {
    this.#log.info({ audit }, `${audit.action} ${audit.outcome}`);
  }

  auditFailed({ action, actor, requestId }: AuditNote, error: unknown): void {
    this.#log.error({ action, actor, requestId, error }, "the audit log took no entry in Redis");
  }

  /** An error was told inside a stream, or as the end of a job. */
  errorTold(code: string): void {
    if (isErrorCode(code)) this.#errors.inc({ code });
  }

  /** The content filter was asked about a prompt. What it was asked and what it said stay unsaid. */
  promptReviewed(verdict: Review, tookMs: number): void {
    this.#reviews.observe({ verdict }, tookMs / 1_000);
  }

  /** @param reason holds nothing of a prompt */
  contentFilterFailed(reason: string): void {
    this.#report(new Error(`the content filter gave no verdict: ${reason}`));
  }

  firstOutputSent({ arrivedAtMs }: Exchange): void {
    this.#ttft.observe((performance.now() - arrivedAtMs) / 1_000);
  }

  generationEnded({ arrivedAtMs }: Exchange): void {
    this.#duration.observe((performance.now() - arrivedAtMs) / 1_000);
  }

  forgetFailed(job: string, error: unknown): void {
    this.#log.warn({ job, error }, "a delivered job could not be deleted; it expires by itself");
  }

  entryUnreadable(job: string, error: unknown): void {
    this.#log.error({ job, ...describeBug(error) }, "a job's log holds what cannot be read");
  }

  sweepPassed(counts: SweepCounts): void {
    for (const repair of REPAIRS) this.#repairs.inc({ repair }, counts[repair]);
    if (REPAIRS.some((repair) => counts[repair] > 0)) this.#log.info({ ...counts }, "swept");
  }
}

/** nginx' status for a caller that left before it was answered. */
const CLIENT_CLOSED = 499;

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/**
 * What may be logged of an error that nobody expected. The messages of parsers quote what they
 * parsed, which may be a prompt: of those only the place is told.
 */
function describeBug(error: unknown): object {
  if (!(error instanceof Error)) return { kind: typeof error };
  const place = error.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  const isParser = error instanceof SyntaxError || error.name === "ZodError";
  return { kind: error.name, place: place?.trim(), ...(isParser ? {} : { reason: error.message }) };
}
