import { setTimeout as delay } from "node:timers/promises";

import { FaultProxy } from "@headrace/testkit/instruments";

import { makeCases } from "../job-case.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { Progress } from "../schedule.ts";
import { withSite, type Site } from "../site.ts";

const SIZES = { small: { jobs: 6 }, full: { jobs: 48 } } as const;

/** At 100 ms a token the jobs run for half a minute: longer than a lock, and than the wait for it. */
const STEP_MS = 100;
const TOKENS = { fewestTokens: 300, mostTokens: 330 } as const;
/** The worker lets go two thirds through its locks, at the renewal that finds it so late. */
const LET_GO_SECONDS = 15;
/** As for a worker that dies: locks that were just renewed, and the check after they run out. */
const TAKEN_OVER_SECONDS = 25;
/** How long the others are at work before the cut is healed: the engine would have all of it twice. */
const BOTH_MS = 1_000;
const LOOK_MS = 50;

/**
 * A worker is cut off from Redis while its engine goes on: it must let go before others have its
 * jobs, and what it sent into the cut arrives when they do.
 */
export const partition: FaultRun = {
  name: "partition",
  title:
    "a worker cut off from Redis until another has its jobs, and joined again: what it said meanwhile arrives late",
  sizes: ["small", "full"],
  run: runPartition,
};

async function runPartition(context: RunContext): Promise<RunOutcome> {
  const { random, size } = context;
  const { jobs } = SIZES[size];
  const options = {
    engineFlags: ["--step-ms", String(STEP_MS)],
    worker: { WORKER_MAX_IN_FLIGHT: String(jobs), WORKER_INITIAL_IN_FLIGHT: String(jobs) },
    workers: 0,
  };
  return withSite(context, options, async (site) => {
    const proxy = await FaultProxy.start(site.platform.redis.port);
    try {
      await site.platform.startWorker({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
      const takenOver = new Progress();
      const load = site.load({
        outstanding: jobs,
        onEvent: (_id, { reason }) => {
          if (reason === "worker_lost") takenOver.advance();
        },
      });
      const cut = new Cut(site, proxy, jobs);
      const cases = makeCases(random, jobs, TOKENS);
      await site.bounded(Promise.all([cut.carryOut(takenOver), load.run(cases)]));
      const findings = await site.verify(load);
      return {
        findings,
        figures: {
          jobs: atLeast(load.accepted.length, jobs, ""),
          jobs_taken_over: atLeast(takenOver.count, jobs, ""),
          let_go_s: atMost(cut.letGoSeconds, LET_GO_SECONDS, "s"),
          taken_over_s: atMost(cut.takenOverSeconds, TAKEN_OVER_SECONDS, "s"),
          most_at_the_engine: atMost(cut.mostAtEngine, jobs, ""),
          ...countBrokenPromises(findings),
          attempts_made_again: told(site.countReattempts(), ""),
        },
      };
    } finally {
      // Nobody can stop in order whose Redis is unreachable: the platform goes first.
      proxy.heal();
      await site.platform.stop();
      await proxy.close();
    }
  });
}

/** One cut of a worker that runs all the jobs, and what the engine had to do meanwhile. */
class Cut {
  /** From the cut until the worker had left its engine. */
  letGoSeconds = Number.POSITIVE_INFINITY;
  /** From the cut until another worker had all the jobs. */
  takenOverSeconds = Number.POSITIVE_INFINITY;
  /** More than there are jobs is a job generated twice at once. */
  mostAtEngine = 0;
  readonly #site: Site;
  readonly #proxy: FaultProxy;
  readonly #jobs: number;

  constructor(site: Site, proxy: FaultProxy, jobs: number) {
    this.#site = site;
    this.#proxy = proxy;
    this.#jobs = jobs;
  }

  async carryOut(takenOver: Progress): Promise<void> {
    await this.#site.whenEngineRuns(this.#jobs);
    await this.#site.platform.startWorker();
    const cutAtMs = performance.now();
    const since = (): number => (performance.now() - cutAtMs) / 1_000;
    this.#proxy.stopReading();
    const isOver = new AbortController();
    const watching = this.#watch(isOver.signal, since);
    await takenOver.reach(this.#jobs);
    this.takenOverSeconds = since();
    await delay(BOTH_MS);
    // What the worker sent is not lost: it arrives now, with others at work.
    this.#proxy.heal();
    isOver.abort();
    await watching;
  }

  async #watch(isOver: AbortSignal, since: () => number): Promise<void> {
    while (!isOver.aborted) {
      const { running } = await this.#site.platform.engineCounts();
      this.mostAtEngine = Math.max(this.mostAtEngine, running);
      if (running === 0) this.letGoSeconds = Math.min(this.letGoSeconds, since());
      await delay(LOOK_MS, undefined, { signal: isOver }).catch(() => {});
    }
  }
}
