import { writeFileSync } from "node:fs";
import { constants } from "node:os";

import { toFigures, type Measurements } from "./figure.ts";
import { measureAddedTtft } from "./figures/added-ttft.ts";
import { measureBatchFullEngine } from "./figures/batch-full-engine.ts";
import { measureBatchMemory } from "./figures/batch-memory.ts";
import { measureBatchPrefixHits } from "./figures/batch-prefix-hits.ts";
import { measureBatchSlack } from "./figures/batch-slack.ts";
import { measureCpu } from "./figures/cpu.ts";
import { measureDurability } from "./figures/durability.ts";
import { measureFairShares } from "./figures/fair-shares.ts";
import { measureFrontDoor } from "./figures/front-door.ts";
import { measureRedisMemory } from "./figures/redis-memory.ts";
import { measureStreams } from "./figures/streams.ts";
import { measureSubmitRate } from "./figures/submit-rate.ts";
import { readOptions, UsageError, type Options } from "./options.ts";
import { toJson, toTable } from "./report.ts";
import type { Bench } from "./stack.ts";

/** The benchmarks, each under the name of its chief figure. */
const BENCHMARKS: Readonly<Record<string, (bench: Bench) => Promise<Measurements>>> = {
  added_ttft_ms: measureAddedTtft,
  cpu_ratio: measureCpu,
  submit_ratio: measureSubmitRate,
  front_door_ratio: measureFrontDoor,
  streams: measureStreams,
  redis_bytes_per_job: measureRedisMemory,
  durability: measureDurability,
  fair_shares: measureFairShares,
  batch_slack: measureBatchSlack,
  batch_memory: measureBatchMemory,
  batch_full_engine: measureBatchFullEngine,
  batch_prefix_hits: measureBatchPrefixHits,
};

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const MISSED = 1;
const MISUSED = 2;
/** What a shell adds to the number of the signal that ended a process. */
const SIGNALLED = 128;
const MS_PER_SECOND = 1_000;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  for (const signal of STOP_SIGNALS) process.on(signal, () => controller.abort(signal));
  try {
    return await runAll(readOptions(argv, Object.keys(BENCHMARKS)), controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return SIGNALLED + signalNumber(controller.signal.reason);
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return MISUSED;
  }
}

/** Run the benchmarks as often as asked, and report. @returns the exit code */
async function runAll(options: Options, signal: AbortSignal): Promise<number> {
  const runs: Measurements[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    const measurements: Measurements[] = [];
    for (const name of options.only) {
      const title = options.runs === 1 ? name : `${name}, run ${run} of ${options.runs}`;
      measurements.push(await runOne(name, title, { signal, profile: options.profile }));
    }
    runs.push(Object.fromEntries(measurements.flatMap((found) => Object.entries(found))));
  }
  const figures = toFigures(runs);
  process.stdout.write(`\n${toTable(figures)}`);
  if (options.profile !== null) {
    process.stdout.write(`\nProfiles are in ${options.profile}; taking them cost time and CPU.\n`);
  }
  if (options.json !== null) writeFileSync(options.json, toJson(figures));
  return figures.every(({ ok }) => ok) ? 0 : MISSED;
}

async function runOne(
  name: string,
  title: string,
  bench: Omit<Bench, "say">,
): Promise<Measurements> {
  const measure = BENCHMARKS[name];
  if (measure === undefined) throw new TypeError(`there is no benchmark ${name}`);
  const startedAt = performance.now();
  const say = (progress: string): void => {
    const seconds = Math.round((performance.now() - startedAt) / MS_PER_SECOND);
    process.stderr.write(`${title}: ${progress} (${seconds} s)\n`);
  };
  return measure({ ...bench, say });
}

function signalNumber(name: unknown): number {
  const known = STOP_SIGNALS.find((signal) => signal === name) ?? "SIGTERM";
  return constants.signals[known];
}
