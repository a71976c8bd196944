import { setTimeout as delay } from "node:timers/promises";

import { quantile } from "../../bench/statistics.ts";
import { Crew } from "../crew.ts";
import { makeCases } from "../job-case.ts";
import type { Load } from "../load.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { carryOut, planFaults, type PlannedFault } from "../schedule.ts";
import { withSite, type Site } from "../site.ts";
import type { AcceptedJob } from "../verifier.ts";

const SIZES = {
  small: { jobs: 400, faults: { kill: 2, shortPause: 1, longPause: 1, redis: 1 }, strikes: 4 },
  full: { jobs: 10_000, faults: { kill: 34, shortPause: 10, longPause: 8, redis: 5 }, strikes: 50 },
} as const;

const WORKERS = 6;
/** Jobs at a worker at once: as many are struck together. */
const SLOTS = 4;
/** More than the workers hold, so that they always find work. */
const OUTSTANDING = 120;
const TOKENS = { fewestTokens: 8, mostTokens: 48 } as const;
/** A lock lives for 15 s: a long pause outlives it, a short one does not. */
const LONG_PAUSE_MS = [16_000, 24_000] as const;
const SHORT_PAUSE_MS = [500, 6_000] as const;
const REDIS_AWAY_MS = 1_000;
const RECOVERY_SECONDS = 25;

/** Workers are killed and paused, Redis is killed and restarted, all while jobs flow. */
export const mixed: FaultRun = {
  name: "mixed",
  title: "workers killed (SIGKILL) and paused (SIGSTOP), Redis killed, all mixed, under load",
  sizes: ["small", "full"],
  run: runMixed,
};

async function runMixed(context: RunContext): Promise<RunOutcome> {
  const { random, size } = context;
  const { jobs, faults, strikes } = SIZES[size];
  const options = {
    engineFlags: ["--step-ms", "5"],
    ingresses: 2,
    workers: WORKERS,
    worker: { WORKER_MAX_IN_FLIGHT: String(SLOTS), WORKER_INITIAL_IN_FLIGHT: String(SLOTS) },
  };
  return withSite(context, options, async (site) => {
    const load = site.load({ outstanding: OUTSTANDING });
    const plan = planFaults(random.fork("faults"), jobs, faults);
    const [struck] = await site.bounded(
      Promise.all([strike(site, load, plan), load.run(makeCases(random, jobs, TOKENS))]),
    );
    const findings = await site.verify(load);
    const recoveries = load.accepted.flatMap(({ transcript }) => recoverySeconds(transcript));
    return {
      findings,
      figures: {
        jobs: atLeast(load.accepted.length, jobs, ""),
        worker_strikes: atLeast(struck.worker, strikes, ""),
        redis_kills: atLeast(struck.redis, faults.redis, ""),
        ...countBrokenPromises(findings),
        recovered_jobs: told(recoveries.length, ""),
        recovery_p99_s: atMost(quantile(recoveries, 0.99), RECOVERY_SECONDS, "s"),
        recovery_max_s: told(quantile(recoveries, 1), "s"),
        refused_submits: told(load.refusals, ""),
        reader_connections: told(connectionsOf(load.accepted), ""),
      },
    };
  });
}

/** Carry the plan out, and wait until everybody is back. @returns how often each kind was struck */
async function strike(
  site: Site,
  load: Load,
  plan: readonly PlannedFault<keyof (typeof SIZES)["full"]["faults"]>[],
): Promise<{ readonly worker: number; readonly redis: number }> {
  const { redis, workers } = site.platform;
  const crew = new Crew(workers);
  await carryOut(plan, load.progress, {
    kill: ({ rank }) => crew.kill(rank),
    shortPause: ({ rank, force }) => crew.pause(rank, between(SHORT_PAUSE_MS, force)),
    longPause: ({ rank, force }) => crew.pause(rank, between(LONG_PAUSE_MS, force)),
    redis: async ({ force }) => {
      await redis.kill();
      await delay(REDIS_AWAY_MS * force);
      await redis.restart();
    },
  });
  await crew.settle();
  const onRedis = plan.filter(({ kind }) => kind === "redis").length;
  return { worker: plan.length - onRedis, redis: onRedis };
}

/** How long a reader saw nothing, from a lost worker's last word to the next one's first. */
function recoverySeconds({ events }: AcceptedJob["transcript"]): number[] {
  return events.flatMap(({ reason, atMs }, at) => {
    const before = events[at - 1];
    return reason === "worker_lost" && before !== undefined ? (atMs - before.atMs) / 1_000 : [];
  });
}

function connectionsOf(accepted: readonly AcceptedJob[]): number {
  return accepted.reduce((sum, { transcript }) => sum + transcript.connections, 0);
}

function between([least, most]: readonly [number, number], force: number): number {
  return least + force * (most - least);
}
