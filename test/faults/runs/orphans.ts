import { request } from "undici";

import { API_KEY } from "../../platform.ts";
import { makeCases, type JobCase } from "../job-case.ts";
import { atLeast, atMost, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { Progress } from "../schedule.ts";
import { withSite } from "../site.ts";

const CALLS = 12;
const JOBS = 12;
/** At 100 ms a token, a minute: far longer than an ingress' lease of 15 s and two passes of the sweep. */
const STEP_MS = 100;
const TOKENS = { fewestTokens: 600, mostTokens: 700 } as const;
const CANCELLED_SECONDS = 30;

/** An ingress dies while callers wait at it; nobody wants their answers any more. */
export const orphans: FaultRun = {
  name: "orphans",
  title:
    "an ingress killed (SIGKILL) with synchronous calls attached, beside jobs that stand alone",
  sizes: ["full"],
  run: runOrphans,
};

async function runOrphans(context: RunContext): Promise<RunOutcome> {
  const { random } = context;
  const options = { engineFlags: ["--step-ms", String(STEP_MS)], ingresses: 2 };
  return withSite(context, options, async (site) => {
    const [doomed, other] = site.platform.ingresses;
    if (doomed === undefined || other === undefined) throw new RangeError("two are needed");
    const running = new Progress();
    const load = site.load({
      outstanding: JOBS,
      urls: [other.url],
      onEvent: (_id, { reason }) => {
        if (reason === "first") running.advance();
      },
    });
    const cases = makeCases(random, JOBS + CALLS, TOKENS);
    const orphan = async (): Promise<number> => {
      await running.reach(JOBS);
      const calls = cases.slice(JOBS).map((job) => callAndWait(doomed.url, job));
      await site.whenEngineRuns(JOBS + CALLS);
      const killedAtMs = performance.now();
      await doomed.kill();
      await Promise.all(calls);
      await site.whenEngineRuns(JOBS);
      return (performance.now() - killedAtMs) / 1_000;
    };
    const [seconds] = await site.bounded(Promise.all([orphan(), load.run(cases.slice(0, JOBS))]));
    const findings = await site.verify(load);
    return {
      findings,
      figures: {
        calls_orphaned: told(CALLS, ""),
        jobs_that_stand_alone: atLeast(load.accepted.length, JOBS, ""),
        // A job that was cancelled is none of which nobody was told: its caller was, by the hang-up.
        ...countBrokenPromises(findings),
        cancelled_after_s: atMost(seconds, CANCELLED_SECONDS, "s"),
        cancelled: atLeast(
          site.countJobs(({ state }) => state === "cancelled"),
          CALLS,
          "",
        ),
      },
    };
  });
}

/** Make a synchronous call, as OpenAI's clients do. Resolves when it is cut off. */
async function callAndWait(url: string, { submit }: JobCase): Promise<void> {
  try {
    const { body } = await request(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" },
      body: JSON.stringify(submit.request),
    });
    await body.text();
  } catch {
    // Its ingress is dead.
  }
}
