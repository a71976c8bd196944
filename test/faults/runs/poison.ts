import { FaultProxy, type ManagedProcess } from "@headrace/testkit/instruments";

import { Crew } from "../crew.ts";
import { makeCase, makeCases } from "../job-case.ts";
import type { Load } from "../load.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { withSite, type Site } from "../site.ts";

/** One: all that a death strands comes back to the same worker at the same moment. */
const WORKERS = 1;
const SLOTS = 8;
const POISON = "poison pill";
/** At 20 ms a token two to four seconds: the poison never comes alone to a worker. */
const STEP_MS = 20;
const TOKENS = { fewestTokens: 100, mostTokens: 200 } as const;
const INNOCENTS = 100;
const OUTSTANDING = 7;
const DEATHS = 3;

/** One job kills each worker that runs it, at once; the others on that worker have done nothing. */
export const poison: FaultRun = {
  name: "poison",
  title: "a job that kills every worker which runs it, among jobs that do not",
  // Each death is noticed when a lock of 15 s has run out.
  sizes: ["full"],
  run: runPoison,
};

async function runPoison(context: RunContext): Promise<RunOutcome> {
  const { random } = context;
  const options = {
    engineFlags: ["--step-ms", String(STEP_MS)],
    workers: 0,
    worker: { WORKER_MAX_IN_FLIGHT: String(SLOTS), WORKER_INITIAL_IN_FLIGHT: String(SLOTS) },
  };
  return withSite(context, options, async (site) => {
    const ward = await Ward.open(site);
    try {
      const innocents = site.load({ outstanding: OUTSTANDING });
      const guilty = site.load({ outstanding: 1, end: "failed" });
      await site.bounded(
        Promise.all([
          innocents.run(makeCases(random, INNOCENTS, TOKENS)),
          innocents.progress.reach(OUTSTANDING).then(() => guilty.run([makeCase(POISON, 50)])),
        ]),
      );
      await ward.settle();
      return await report(site, ward, [innocents, guilty]);
    } finally {
      await site.platform.stop();
      await ward.close();
    }
  });
}

async function report(site: Site, ward: Ward, loads: readonly Load[]): Promise<RunOutcome> {
  const findings = await site.verify(...loads);
  return {
    findings,
    figures: {
      jobs: atLeast(loads.flatMap(({ accepted }) => accepted).length, INNOCENTS + 1, ""),
      workers_killed: atMost(ward.deaths, DEATHS, ""),
      ...countBrokenPromises(findings),
      attempts_made_again: told(site.countReattempts(), ""),
    },
  };
}

/** Workers whose requests to the engine are listened to: whoever asks for poison dies of it. */
class Ward {
  deaths = 0;
  readonly #crew: Crew;
  readonly #proxies: FaultProxy[];
  readonly #dying: Promise<void>[] = [];

  private constructor(members: readonly ManagedProcess[], proxies: FaultProxy[]) {
    this.#crew = new Crew(members);
    this.#proxies = proxies;
    for (const [at, proxy] of proxies.entries()) {
      const member = members[at];
      if (member !== undefined) proxy.watchFor(POISON, () => this.#poison(member));
    }
  }

  static async open({ platform }: Site): Promise<Ward> {
    const members: ManagedProcess[] = [];
    const proxies: FaultProxy[] = [];
    for (let count = 0; count < WORKERS; count += 1) {
      const proxy = await FaultProxy.start(Number(new URL(platform.engine.url).port));
      proxies.push(proxy);
      members.push(await platform.startWorker({ ENGINE_URL: `http://127.0.0.1:${proxy.port}` }));
    }
    return new Ward(members, proxies);
  }

  async settle(): Promise<void> {
    await Promise.all(this.#dying);
    await this.#crew.settle();
  }

  async close(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.close()));
  }

  #poison(member: ManagedProcess): void {
    this.deaths += 1;
    this.#dying.push(this.#crew.killMember(member));
  }
}
