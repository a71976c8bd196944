import type { Measurement, Measurements } from "../bench/figure.ts";
import { countFaults, type FaultName, type Finding } from "./finding.ts";

/** What the matrix counts, each from one or more kinds of findings. */
const COUNTED = {
  lost_jobs: ["lost", "not_ended"],
  wrong_results: ["wrong_text", "log_gap"],
  double_finishes: ["ends"],
  bad_streams: ["gap", "repeat", "shown_text", "reader_ends", "stranded_reader"],
  innocent_failures: ["wrong_end"],
  leaks: ["leak", "untried"],
  wrong_usage: ["wrong_usage"],
  ghosts: ["ghost"],
  odd_answers: ["odd_answer"],
  leftovers: ["leftover"],
} as const satisfies Readonly<Record<string, readonly FaultName[]>>;

type Counted = keyof typeof COUNTED;

/**
 * Count a run's findings, each kind with a reach of none.
 *
 * @param excused kinds that this run may not promise, reported without a limit
 */
export function countBrokenPromises(
  findings: readonly Finding[],
  excused: readonly Counted[] = [],
): Measurements {
  const names: readonly Counted[] = [
    "lost_jobs",
    "wrong_results",
    "double_finishes",
    "bad_streams",
    "innocent_failures",
    "leaks",
    "wrong_usage",
    "ghosts",
    "odd_answers",
    "leftovers",
  ];
  return Object.fromEntries(
    names.map((name): [string, Measurement] => {
      const value = countFaults(findings, COUNTED[name]);
      return [name, excused.includes(name) ? told(value, "") : atMost(value, 0, "")];
    }),
  );
}

/** A figure that is only told. */
export function told(value: number, unit: string): Measurement {
  return { value, unit, limit: null };
}

/** A figure that may not be greater. */
export function atMost(value: number, limit: number, unit: string): Measurement {
  return { value, unit, limit: { value: limit, bound: "at_most" } };
}

/** A figure that may not be less. */
export function atLeast(value: number, limit: number, unit: string): Measurement {
  return { value, unit, limit: { value: limit, bound: "at_least" } };
}
