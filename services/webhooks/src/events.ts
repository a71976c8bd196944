import type { ClaimedDelivery, DeliveryReport } from "@headrace/broker";
import type { Log, Metrics } from "@headrace/runtime";

const OUTCOMES = ["delivered", "retried", "exhausted", "gone", "endpoint_disabled"] as const;
/** A second is what one receiver may cost another at most. */
const DELAY_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3_600];
const TRY_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];

/** What this process counts. URLs and secrets reach neither metrics nor logs. */
export class WebhookEvents {
  readonly #log: Log;
  readonly #deliveries;
  readonly #tries;
  readonly #delay;
  readonly #duration;

  constructor(metrics: Metrics, log: Log, inFlight: () => number) {
    this.#log = log;
    this.#deliveries = metrics.counter(
      "headrace_webhook_deliveries_total",
      "Webhook deliveries by what became of them after a try, or without one",
      ["outcome"],
    );
    this.#tries = metrics.counter(
      "headrace_webhook_tries_total",
      "Tries to deliver a webhook, by the answer's class or what went wrong",
      ["result"],
    );
    this.#delay = metrics.histogram("headrace_webhook_delay_seconds", {
      help: "From when a webhook was due to its try; not while its receiver's circuit was open",
      buckets: DELAY_SECONDS,
    });
    this.#duration = metrics.histogram("headrace_webhook_try_seconds", {
      help: "How long a try took",
      buckets: TRY_SECONDS,
    });
    metrics.gauge("headrace_webhook_in_flight", "Webhooks being sent", inFlight);
    for (const outcome of OUTCOMES) this.#deliveries.inc({ outcome }, 0);
    for (const result of ["2xx", "4xx", "5xx", "timeout"]) this.#tries.inc({ result }, 0);
  }

  claimed({ overdueMs }: ClaimedDelivery): void {
    this.#delay.observe(overdueMs / 1_000);
  }

  settled({ id, endpoint }: ClaimedDelivery, { settlement, made }: DeliveryReport): void {
    const outcome =
      settlement.state === "failed"
        ? settlement.failure
        : settlement.state === "pending"
          ? "retried"
          : settlement.state;
    this.#deliveries.inc({ outcome });
    if (made === null) return;
    const { status_code: status, error, seconds } = made;
    const result = error ?? `${Math.trunc((status ?? 0) / 100)}xx`;
    this.#tries.inc({ result });
    this.#duration.observe(seconds);
    this.#log.debug({ delivery: id, endpoint, outcome, status, error, seconds }, "webhook tried");
  }

  /** Its lease had run out meanwhile: another process delivers it again, under the same id. */
  leaseLost({ id }: ClaimedDelivery): void {
    this.#log.warn({ delivery: id }, "a webhook was sent, but had become another process'");
  }

  endpointGone({ endpoint }: ClaimedDelivery): void {
    this.#log.info({ endpoint }, "a receiver answered 410; its endpoint is disabled");
  }
}
