import { constants } from "node:os";
import { fileURLToPath } from "node:url";

import { UsageError } from "../bench/options.ts";
import { findMisses, FAULT_RUNS, runClass } from "./matrix.ts";
import { readOptions, type Options } from "./options.ts";
import { publish, toText } from "./report.ts";
import type { FaultRun, RunOutcome } from "./run.ts";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const MISSED = 1;
const MISUSED = 2;
/** What a shell adds to the number of the signal that ended a process. */
const SIGNALLED = 128;
const MS_PER_SECOND = 1_000;
/** Findings of one run that are shown: the first tell most. */
const SHOWN_FINDINGS = 20;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  const controller = new AbortController();
  for (const signal of STOP_SIGNALS) process.on(signal, () => controller.abort(signal));
  try {
    const names = FAULT_RUNS.map(({ name }) => name);
    return await runAll(readOptions(argv, names), controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return SIGNALLED + signalNumber(controller.signal.reason);
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return MISUSED;
  }
}

/** Run the classes one after the other, and report each as it ends. @returns the exit code */
async function runAll(options: Options, signal: AbortSignal): Promise<number> {
  let exitCode = 0;
  const asked = FAULT_RUNS.filter(({ name }) => options.only.includes(name));
  for (const faultRun of asked.filter(({ sizes }) => sizes.includes(options.size))) {
    const isMet = await runOne(faultRun, options, signal);
    if (!isMet) exitCode = MISSED;
  }
  return exitCode;
}

async function runOne(faultRun: FaultRun, options: Options, signal: AbortSignal): Promise<boolean> {
  const { name } = faultRun;
  const { seed, size } = options;
  const startedAt = performance.now();
  const seconds = (): number => Math.round((performance.now() - startedAt) / MS_PER_SECOND);
  const say = (progress: string): void => {
    process.stderr.write(`${name}: ${progress} (${seconds()} s)\n`);
  };
  const again = `npm run test:faults -- --only ${name} --size ${size} --seed ${seed}`;
  let outcome: RunOutcome;
  try {
    outcome = await runClass(faultRun, { seed, size, say, signal });
  } catch (error) {
    process.stderr.write(`${name} broke off; again with: ${again}\n`);
    throw error;
  }
  process.stdout.write(`\n${toText(faultRun, outcome)}`);
  const misses = findMisses(outcome);
  for (const finding of outcome.findings.slice(0, SHOWN_FINDINGS)) {
    process.stdout.write(`  ${finding.fault} ${finding.subject}: ${finding.detail}\n`);
  }
  if (misses.length > 0) process.stdout.write(`MISSED: ${misses.join("; ")}\nagain: ${again}\n`);
  if (size === "full") {
    const folder = fileURLToPath(new URL("../../docs/", import.meta.url));
    publish(folder, { faultRun, outcome, seed, seconds: seconds() });
  }
  return misses.length === 0;
}

function signalNumber(name: unknown): number {
  const known = STOP_SIGNALS.find((signal) => signal === name) ?? "SIGTERM";
  return constants.signals[known];
}
