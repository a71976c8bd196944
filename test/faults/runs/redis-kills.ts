import { setTimeout as delay } from "node:timers/promises";

import { makeCases } from "../job-case.ts";
import { atLeast, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { carryOut, planFaults } from "../schedule.ts";
import { withSite } from "../site.ts";

const SIZES = {
  small: { jobs: 300, kills: 3 },
  full: { jobs: 15_000, kills: 50 },
} as const;

const OUTSTANDING = 150;
const TOKENS = { fewestTokens: 8, mostTokens: 48 } as const;
const AWAY_MS = 1_000;

/** Redis is killed again and again under load, and restarts from its append-only file. */
export const redisKills: FaultRun = {
  name: "redis-kills",
  title: "Redis killed (SIGKILL) and restarted from its append-only file (everysec), under load",
  sizes: ["small", "full"],
  run: runRedisKills,
};

async function runRedisKills(context: RunContext): Promise<RunOutcome> {
  const { random, size } = context;
  const { jobs, kills } = SIZES[size];
  const options = { engineFlags: ["--step-ms", "5"], ingresses: 2, workers: 4 };
  return withSite(context, options, async (site) => {
    const { redis } = site.platform;
    const load = site.load({ outstanding: OUTSTANDING });
    const plan = planFaults(random.fork("faults"), jobs, { kill: kills });
    const striking = carryOut(plan, load.progress, {
      kill: async ({ force }) => {
        await redis.kill();
        await delay(AWAY_MS * force);
        await redis.restart();
      },
    });
    await site.bounded(Promise.all([striking, load.run(makeCases(random, jobs, TOKENS))]));
    const findings = await site.verify(load);
    return {
      findings,
      figures: {
        jobs: atLeast(load.accepted.length, jobs, ""),
        redis_kills: atLeast(plan.length, kills, ""),
        // What Redis had acknowledged and not yet written is gone: that is what everysec means.
        ...countBrokenPromises(findings, ["lost_jobs"]),
        attempts_made_again: told(site.countReattempts(), ""),
        refused_submits: told(load.refusals, ""),
      },
    };
  });
}
