import { setTimeout as delay } from "node:timers/promises";

import { makeCases } from "../job-case.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { Progress } from "../schedule.ts";
import { withSite, type Site } from "../site.ts";

const JOBS = 8;
/** At 100 ms a token the jobs run for a minute: longer than a lock, and than the wait for it. */
const STEP_MS = 100;
const TOKENS = { fewestTokens: 550, mostTokens: 600 } as const;
const ABORT_MS = 1_000;
const LOOK_MS = 20;

/** A worker is paused until others have its jobs; woken, it must see that they are not its own. */
export const zombie: FaultRun = {
  name: "zombie",
  title: "a worker paused (SIGSTOP) until others run its jobs, and woken while they do",
  sizes: ["full"],
  run: runZombie,
};

async function runZombie(context: RunContext): Promise<RunOutcome> {
  const { random } = context;
  const options = { engineFlags: ["--step-ms", String(STEP_MS)], workers: 1 };
  return withSite(context, options, async (site) => {
    const [victim] = site.platform.workers;
    if (victim === undefined) throw new RangeError("a worker is needed");
    const started = new Progress();
    const takenOver = new Progress();
    const load = site.load({
      outstanding: JOBS,
      onEvent: (_id, { type, reason }) => {
        if (type === "attempt.started") (reason === "worker_lost" ? takenOver : started).advance();
      },
    });
    const pauseAndWake = async (): Promise<number> => {
      await started.reach(JOBS);
      await site.platform.startWorker();
      victim.pause();
      await takenOver.reach(JOBS);
      const { aborted } = await site.platform.engineCounts();
      victim.resume();
      return waitForAborts(site, aborted + JOBS);
    };
    const [abortMs] = await site.bounded(
      Promise.all([pauseAndWake(), load.run(makeCases(random, JOBS, TOKENS))]),
    );
    const findings = await site.verify(load);
    return {
      findings,
      figures: {
        jobs: atLeast(load.accepted.length, JOBS, ""),
        ...countBrokenPromises(findings),
        calls_aborted_ms: atMost(abortMs, ABORT_MS, "ms"),
        jobs_taken_over: told(takenOver.count, ""),
      },
    };
  });
}

/** @returns how long it took until the engine was rid of so many calls, ms */
async function waitForAborts({ platform }: Site, count: number): Promise<number> {
  const wokenAtMs = performance.now();
  while (performance.now() - wokenAtMs < ABORT_MS * 10) {
    if ((await platform.engineCounts()).aborted >= count) return performance.now() - wokenAtMs;
    await delay(LOOK_MS);
  }
  return Number.POSITIVE_INFINITY;
}
