type Labels = Readonly<Record<string, string>>;

/** Counts observations in buckets, as Prometheus does. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  /** `bounds` are upper edges in seconds, ascending. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }

  /** Count one observation; the cost is the number of buckets below it. */
  observe(seconds: number): void {
    this.#sum += seconds;
    this.#count += 1;
    const index = this.#bounds.findIndex((bound) => seconds <= bound);
    if (index >= 0) this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  /** Write the samples of this histogram under `name`. */
  samples(name: string, labels: Labels): string[] {
    let below = 0;
    const buckets = this.#bounds.map((bound, index) => {
      below += this.#counts[index] ?? 0;
      return sample(`${name}_bucket`, { ...labels, le: edge(bound) }, below);
    });
    return [
      ...buckets,
      sample(`${name}_bucket`, { ...labels, le: "+Inf" }, this.#count),
      sample(`${name}_sum`, labels, this.#sum),
      sample(`${name}_count`, labels, this.#count),
    ];
  }
}

/** Write one sample line of the Prometheus text format. */
export function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`);
  return `${name}{${pairs.join(",")}} ${value}`;
}

/** Write a metric family: its help, its type and its samples. */
export function family(
  type: "counter" | "gauge" | "histogram",
  heading: { readonly name: string; readonly help: string },
  samples: readonly string[],
): string {
  const { name, help } = heading;
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples, ""].join("\n");
}

/** Python's client writes whole edges as `1.0`; queries match `le` as text. */
function edge(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : `${bound}`;
}
