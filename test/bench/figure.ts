import { median } from "./statistics.ts";

/** The worst that a figure may be. */
export interface Limit {
  readonly value: number;
  readonly bound: "at_most" | "at_least";
}

/** A figure as one run found it. */
export interface Measurement {
  readonly value: number;
  readonly unit: string;
  /** Null for what is reported beside a figure, to explain it. */
  readonly limit: Limit | null;
  /** The same of each part of the run, where the run has parts. */
  readonly rounds?: readonly number[];
}

/** What one benchmark found, by the figures' names. */
export type Measurements = Readonly<Record<string, Measurement>>;

/** A figure over all runs. */
export interface Figure {
  readonly name: string;
  /** Median of the runs. */
  readonly value: number;
  readonly unit: string;
  /** Median of the runs: some limits are measured too. */
  readonly limit: Limit | null;
  /** Whether every run kept to its own limit. */
  readonly ok: boolean;
  /** Least and greatest, over the runs or, where there was one, over its rounds. */
  readonly spread: readonly [number, number];
}

/** Make one figure of each that the runs have measured. */
export function toFigures(runs: readonly Measurements[]): Figure[] {
  const names = new Set(runs.flatMap((run) => Object.keys(run)));
  return [...names].map((name) =>
    toFigure(
      name,
      runs.flatMap((run) => run[name] ?? []),
    ),
  );
}

function toFigure(name: string, measurements: readonly Measurement[]): Figure {
  const [first, second] = measurements;
  if (first === undefined) throw new TypeError(`nothing was measured for ${name}`);
  const values = measurements.map(({ value }) => value);
  const rounds = second === undefined ? (first.rounds ?? values) : values;
  const limits = measurements.flatMap(({ limit }) => limit?.value ?? []);
  return {
    name,
    value: median(values),
    unit: first.unit,
    limit: first.limit === null ? null : { ...first.limit, value: median(limits) },
    ok: measurements.every(isWithinLimit),
    spread: [Math.min(...rounds), Math.max(...rounds)],
  };
}

/** Whether a figure is no worse than it may be. A figure that is no number is within no limit. */
export function isWithinLimit({ value, limit }: Measurement): boolean {
  if (limit === null) return true;
  return limit.bound === "at_most" ? value <= limit.value : value >= limit.value;
}
