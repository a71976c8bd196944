import { setTimeout as delay } from "node:timers/promises";

import type { ManagedProcess } from "@headrace/testkit/instruments";

import { makeCasesWhile, type JobCase } from "../job-case.ts";
import {
  LATER_ENDPOINT,
  LATER_MARK,
  LATER_ONLY,
  makeLaterBuild,
  removeBuild,
} from "../later-build.ts";
import type { LedgerJob } from "../ledger.ts";
import type { Load } from "../load.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { withSite, type Site } from "../site.ts";

/** From this build to the later one, and back, so many times. */
const SIZES = {
  small: { rolls: 1, jobsPerStep: 20 },
  full: { rolls: 6, jobsPerStep: 100 },
} as const;

const PLACES = 2;
const SLOTS = 16;
/** More than both workers hold, so that jobs wait whoever is away. */
const OUTSTANDING = 48;
const STEP_MS = 10;
/** The longest outlast a worker's drain of a second: another, of whichever build, goes on with them. */
const TOKENS = { fewestTokens: 40, mostTokens: 300 } as const;
/** Every so manieth job is one that, taken in by the later build, only that build can read. */
const LATER_EVERY = 6;
/** Each mixture of builds serves no longer, also where most jobs wait for the later one. */
const STEP_MOST_MS = 3_000;

/** Two builds of the code on one Redis: each process in turn goes from one to the other. */
export const twoBuilds: FaultRun = {
  name: "two-builds",
  title:
    "ingresses and workers rolled, one after the other, to a later build of the code and back, under load",
  sizes: ["small", "full"],
  run: runTwoBuilds,
};

async function runTwoBuilds(context: RunContext): Promise<RunOutcome> {
  const later = await makeLaterBuild();
  try {
    return await rollOn(context, later);
  } finally {
    await removeBuild(later);
  }
}

async function rollOn(context: RunContext, later: string): Promise<RunOutcome> {
  const { random, size, signal } = context;
  const { rolls } = SIZES[size];
  const options = {
    engineFlags: ["--step-ms", String(STEP_MS)],
    ingresses: PLACES,
    workers: PLACES,
    worker: { WORKER_MAX_IN_FLIGHT: String(SLOTS), WORKER_INITIAL_IN_FLIGHT: String(SLOTS) },
  };
  return withSite(context, options, async (site) => {
    const load = site.load({ outstanding: OUTSTANDING });
    const roll = new Roll(site, later);
    const goesOn = (): boolean => !roll.isOver && !signal.aborted;
    const cases = markLater(makeCasesWhile(goesOn, random, TOKENS));
    await site.bounded(Promise.all([roll.carryOut(load, SIZES[size]), load.run(cases)]));
    const findings = await site.verify(load);
    const count = (holds: (job: LedgerJob) => boolean): number => site.countJobs(holds);
    return {
      findings,
      figures: {
        jobs: told(load.accepted.length, ""),
        processes_rolled: atLeast(roll.clean, 2 * rolls * 2 * PLACES, ""),
        ended_by_the_later_build: atLeast(count(endedByLater), 1, ""),
        ended_by_this_build: atLeast(
          count((job) => !endedByLater(job)),
          1,
          "",
        ),
        read_by_the_later_build_only: atLeast(count(isLaterOnly), 1, ""),
        of_those_handed_back: atLeast(
          count((job) => isLaterOnly(job) && job.begun > 1),
          1,
          "",
        ),
        went_on_in_the_other_build: atLeast(count(hasCrossed), 1, ""),
        ...countBrokenPromises(findings),
        attempts_burned: atMost(site.countBurnedAttempts(), 0, ""),
        refused_submits: told(load.refusals, ""),
      },
    };
  });
}

/** The processes of a platform, each of which is told to stop and comes again as the other build. */
class Roll {
  /** Processes that ended in order. */
  clean = 0;
  isOver = false;
  readonly #site: Site;
  readonly #later: string;
  readonly #places: Place[];

  constructor(site: Site, later: string) {
    const { ingresses, workers } = site.platform;
    this.#site = site;
    this.#later = later;
    this.#places = [...ingresses, ...workers].map((process) => ({ process }));
  }

  async carryOut(load: Load, { rolls, jobsPerStep }: Size): Promise<void> {
    const letWork = async (): Promise<void> => {
      const isDone = load.progress.reach(load.progress.count + jobsPerStep);
      await Promise.race([isDone, delay(STEP_MOST_MS)]);
    };
    try {
      await letWork();
      for (let at = 0; at < rolls; at += 1) {
        await this.#rollTo(this.#later, letWork);
        // Workers first: jobs are taken in that nobody can run any more.
        await this.#rollTo(undefined, letWork);
      }
      // What only the later build can read waits for it.
      for (const place of this.#places.filter((_place, at) => at % PLACES === 0)) {
        await this.#turn(place, this.#later);
      }
    } finally {
      this.isOver = true;
    }
  }

  async #rollTo(build: string | undefined, letWork: () => Promise<void>): Promise<void> {
    const order = build === undefined ? this.#places.toReversed() : this.#places;
    for (const place of order) {
      if (await this.#turn(place, build)) this.clean += 1;
      await letWork();
    }
  }

  /** @returns whether the process that was there ended in order */
  async #turn(place: Place, build: string | undefined): Promise<boolean> {
    const { platform } = this.#site;
    const { name, url } = place.process;
    const isClean = (await place.process.stop()) === 0;
    // At the same address, where its readers look for it.
    place.process = await (name === "ingress"
      ? platform.startIngress({ INGRESS_PORT: new URL(url).port }, build)
      : platform.startWorker({}, build));
    return isClean;
  }
}

type Size = (typeof SIZES)[keyof typeof SIZES];

/** Where a process has its place, whichever build it is of. */
interface Place {
  process: ManagedProcess;
}

/** @yields the cases, some of them with what makes the later build spell them in its own way */
function* markLater(cases: Iterable<JobCase>): Generator<JobCase, void, undefined> {
  let count = 0;
  for (const job of cases) {
    count += 1;
    const isLater = count % LATER_EVERY === 0;
    yield isLater ? { ...job, submit: { ...job.submit, metadata: LATER_ONLY } } : job;
  }
}

function isLaterOnly({ spec }: LedgerJob): boolean {
  return spec.includes(LATER_ENDPOINT);
}

function endedByLater({ log }: LedgerJob): boolean {
  return log.at(-1)?.data.includes(LATER_MARK) === true;
}

/** Whether one build's worker went on with what the other's had written. */
function hasCrossed({ log }: LedgerJob): boolean {
  const attempts = log.filter(({ type }) => type === "attempt");
  return new Set(attempts.map(({ data }) => data.includes(LATER_MARK))).size > 1;
}
