import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** A process' metrics. Names and labels are API; no job, key or tenant is ever a label. */
export class Metrics {
  readonly #registry = new Registry();

  /** Every metric carries the process' name, so that one page can hold several processes'. */
  constructor(process: string) {
    this.#registry.setDefaultLabels({ process });
    collectDefaultMetrics({ register: this.#registry });
  }

  counter<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  histogram<Label extends string>(
    name: string,
    options: {
      readonly help: string;
      readonly buckets: readonly number[];
      readonly labelNames?: readonly Label[];
    },
  ): Histogram<Label> {
    const { help, buckets, labelNames = [] } = options;
    return new Histogram({
      name,
      help,
      labelNames,
      buckets: [...buckets],
      registers: [this.#registry],
    });
  }

  /** A gauge that is read when it is scraped. */
  gauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: () => gauge.set(read()),
    });
  }

  /** All of it in Prometheus' text format. */
  async text(): Promise<string> {
    return this.#registry.metrics();
  }
}
