import type { Random } from "@headrace/testkit/instruments";

import type { Measurements } from "../bench/figure.ts";
import type { Finding } from "./finding.ts";

/** `small` for every test run, `full` for the figures that are published. */
export type Size = "small" | "full";

/** What every run is given. */
export interface RunContext {
  /** The one source of all the run's choices. */
  readonly random: Random;
  readonly size: Size;
  /** Aborted when the run has taken too long, or the user wants no more. */
  readonly signal: AbortSignal;
  /** Tell the user what is being done. */
  readonly say: (progress: string) => void;
}

/** What came of a run. */
export interface RunOutcome {
  readonly figures: Measurements;
  /** All that was found wrong, counted in the figures. */
  readonly findings: readonly Finding[];
}

/** One class of faults. */
export interface FaultRun {
  readonly name: string;
  /** What is done to the platform, in a sentence of the matrix. */
  readonly title: string;
  /** At which sizes it is run: what takes its time by nature has no small one. */
  readonly sizes: readonly Size[];
  readonly run: (context: RunContext) => Promise<RunOutcome>;
}
