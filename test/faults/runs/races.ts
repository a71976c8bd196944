import { setTimeout as delay } from "node:timers/promises";

import { Headrace } from "@headrace/client";

import { makeCases } from "../job-case.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { withSite, type Site } from "../site.ts";
import type { Transcript } from "../transcript.ts";

const SIZES = { small: { jobs: 120 }, full: { jobs: 3_000 } } as const;

/** With few slots and many callers, jobs wait for about as long as their deadline. */
const SLOTS = 4;
const OUTSTANDING = 40;
const TOKENS = { fewestTokens: 10, mostTokens: 80 } as const;
const DEADLINE_SECONDS = 1;
const CANCEL_SHARE = 0.3;
/** From before a job starts to after it has ended. */
const CANCEL_WITHIN_MS = 2_500;
/** The engine is told by a closed connection. */
const STOP_MS = 1_000;

/** Jobs are cancelled at random moments, and have deadlines that end about when they would start. */
export const races: FaultRun = {
  name: "races",
  title: "jobs cancelled at random moments, with deadlines that end about when they start",
  sizes: ["small", "full"],
  run: runRaces,
};

async function runRaces(context: RunContext): Promise<RunOutcome> {
  const { random, size } = context;
  const { jobs } = SIZES[size];
  const options = {
    engineFlags: ["--step-ms", "5"],
    worker: { WORKER_MAX_IN_FLIGHT: String(SLOTS), WORKER_INITIAL_IN_FLIGHT: String(SLOTS) },
  };
  return withSite(context, options, async (site) => {
    const cancel = async (id: string): Promise<unknown> =>
      new Headrace({ url: site.platform.url, apiKey: load.ownerOf(id) }).cancel(id);
    const draw = random.fork("cancels");
    const cancels: Promise<unknown>[] = [];
    const seen = new Set<string>();
    const cancelSome = (id: string): void => {
      if (seen.has(id)) return;
      seen.add(id);
      const afterMs = draw.between(0, CANCEL_WITHIN_MS);
      if (draw.chance(CANCEL_SHARE)) cancels.push(delay(afterMs).then(() => cancel(id)));
    };
    const load = site.load({ outstanding: OUTSTANDING, end: null, onEvent: cancelSome });
    const submit = { deadline_seconds: DEADLINE_SECONDS };
    await site.bounded(load.run(makeCases(random, jobs, { ...TOKENS, submit })));
    await Promise.all(cancels);
    const stillRunning = await countRunning(site);
    const findings = await site.verify(load);
    const ended = (type: string): Transcript[] =>
      load.accepted
        .map((entry) => entry.transcript)
        .filter(({ events }) => events.at(-1)?.type === type);
    const expiredWithOutput = ended("job.expired").filter(hasOutput);
    return {
      findings,
      figures: {
        jobs: atLeast(load.accepted.length, jobs, ""),
        ...countBrokenPromises(findings),
        completed: atLeast(ended("job.completed").length, 1, ""),
        cancelled: atLeast(ended("job.cancelled").length, 1, ""),
        expired: atLeast(ended("job.expired").length, 1, ""),
        expired_with_output: atMost(expiredWithOutput.length, 0, ""),
        running_after_all: atMost(stillRunning, 0, ""),
        cancels: told(cancels.length, ""),
      },
    };
  });
}

async function countRunning({ platform }: Site): Promise<number> {
  await delay(STOP_MS);
  return (await platform.engineCounts()).running;
}

function hasOutput({ events }: Transcript): boolean {
  return events.some(({ type }) => type === "output.delta");
}
