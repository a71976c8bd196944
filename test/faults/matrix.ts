import { Random } from "@headrace/testkit/instruments";

import { isWithinLimit } from "../bench/figure.ts";
import type { FaultRun, RunContext, RunOutcome, Size } from "./run.ts";
import { ingressKill } from "./runs/ingress-kill.ts";
import { lostReplies } from "./runs/lost-replies.ts";
import { mixed } from "./runs/mixed.ts";
import { orphans } from "./runs/orphans.ts";
import { parserFuzz } from "./runs/parser-fuzz.ts";
import { partition } from "./runs/partition.ts";
import { poison } from "./runs/poison.ts";
import { races } from "./runs/races.ts";
import { redisKills } from "./runs/redis-kills.ts";
import { rollingStop } from "./runs/rolling-stop.ts";
import { soak } from "./runs/soak.ts";
import { twoBuilds } from "./runs/two-builds.ts";
import { zombie } from "./runs/zombie.ts";

/** Every class of faults, in the order of the matrix. */
export const FAULT_RUNS: readonly FaultRun[] = [
  mixed,
  redisKills,
  lostReplies,
  rollingStop,
  ingressKill,
  parserFuzz,
  races,
  zombie,
  partition,
  poison,
  orphans,
  twoBuilds,
  soak,
];

/** Longest that a run may take before it is ended, ms. */
const LIMIT_MS: Readonly<Record<Size, number>> = { small: 120_000, full: 1_200_000 };

/** Who runs a class, and how. */
export interface RunRequest {
  readonly seed: number;
  readonly size: Size;
  readonly say: RunContext["say"];
  /** Aborted when the user wants no more. */
  readonly signal?: AbortSignal;
}

/** Run one class of faults with all its choices drawn from the seed. */
export async function runClass(
  faultRun: FaultRun,
  { seed, size, say, signal }: RunRequest,
): Promise<RunOutcome> {
  say(`seed ${seed}, ${size}`);
  const limit = AbortSignal.timeout(LIMIT_MS[size]);
  return faultRun.run({
    random: new Random(seed),
    size,
    say,
    signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
  });
}

/** Name the figures that did not reach what they must. */
export function findMisses({ figures }: RunOutcome): string[] {
  return Object.entries(figures)
    .filter(([, figure]) => !isWithinLimit(figure))
    .map(([name, { value, limit }]) => `${name} is ${value}, ${limit?.bound} ${limit?.value}`);
}
