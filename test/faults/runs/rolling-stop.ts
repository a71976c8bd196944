import { setTimeout as delay } from "node:timers/promises";

import { quantile } from "../../bench/statistics.ts";
import { Crew } from "../crew.ts";
import { makeCasesWhile } from "../job-case.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { withSite } from "../site.ts";
import type { SeenEvent } from "../transcript.ts";

const SIZES = { small: { stops: 3, everyMs: 2_500 }, full: { stops: 24, everyMs: 5_000 } } as const;

const WORKERS = 3;
const SLOTS = 16;
/** As many as two of three workers hold: whoever is handed back finds a free slot. */
const OUTSTANDING = 28;
/** At 20 ms a token, jobs of two to five seconds: longer than a worker's drain of one. */
const STEP_MS = 20;
const TOKENS = { fewestTokens: 100, mostTokens: 250 } as const;
const HAND_OVER_SECONDS = 2;

/** Each worker in turn is told to stop, as by a rolling update, and another takes its place. */
export const rollingStop: FaultRun = {
  name: "rolling-stop",
  title: "every worker in turn told to stop (SIGTERM) every 5 s, under load",
  sizes: ["small", "full"],
  run: runRollingStop,
};

async function runRollingStop(context: RunContext): Promise<RunOutcome> {
  const { random, size } = context;
  const options = {
    engineFlags: ["--step-ms", String(STEP_MS)],
    workers: WORKERS,
    worker: { WORKER_MAX_IN_FLIGHT: String(SLOTS), WORKER_INITIAL_IN_FLIGHT: String(SLOTS) },
  };
  return withSite(context, options, async (site) => {
    const stops = new Stops();
    const load = site.load({ outstanding: OUTSTANDING, onEvent: stops.onEvent });
    const goesOn = (): boolean => !stops.areOver && !context.signal.aborted;
    const stopping = load.progress
      .reach(OUTSTANDING)
      .then(() => stops.carryOut(new Crew(site.platform.workers), SIZES[size]));
    await site.bounded(Promise.all([stopping, load.run(makeCasesWhile(goesOn, random, TOKENS))]));
    const findings = await site.verify(load);
    return {
      findings,
      figures: {
        jobs: told(load.accepted.length, ""),
        workers_stopped: atLeast(stops.clean, SIZES[size].stops, ""),
        ...countBrokenPromises(findings),
        attempts_burned: atMost(site.countBurnedAttempts(), 0, ""),
        jobs_handed_over: atLeast(stops.handOvers.length, 1, ""),
        hand_over_p99_s: atMost(quantile(stops.handOvers, 0.99), HAND_OVER_SECONDS, "s"),
      },
    };
  });
}

/** The stops of one run, and how long each job took from one to its next claim. */
class Stops {
  /** From SIGTERM to the next worker's claim, seconds. */
  readonly handOvers: number[] = [];
  /** Workers that ended in order. */
  clean = 0;
  areOver = false;
  #toldAtMs = Number.NaN;

  readonly onEvent = (_job: string, { reason, atMs }: SeenEvent): void => {
    if (reason === "handed_back") this.handOvers.push((atMs - this.#toldAtMs) / 1_000);
  };

  async carryOut(
    crew: Crew,
    { stops, everyMs }: { readonly stops: number; readonly everyMs: number },
  ): Promise<void> {
    try {
      for (let at = 0; at < stops; at += 1) {
        await delay(everyMs);
        this.#toldAtMs = performance.now();
        if ((await crew.stop(at)) === 0) this.clean += 1;
      }
      await crew.settle();
    } finally {
      this.areOver = true;
    }
  }
}
