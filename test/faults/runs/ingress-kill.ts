import { setTimeout as delay } from "node:timers/promises";

import { makeCases } from "../job-case.ts";
import { quantile } from "../../bench/statistics.ts";
import { atLeast, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { Progress } from "../schedule.ts";
import { withSite } from "../site.ts";
import type { AcceptedJob } from "../verifier.ts";

const SIZES = { small: { readers: 40 }, full: { readers: 500 } } as const;

/** All jobs run at once, long enough that the first is under way when the last has begun. */
const STEP_MS = 100;
const TOKENS = { fewestTokens: 150, mostTokens: 210 } as const;

/** Once every reader has had output: in the middle of what they read. */
const KILL_AFTER_MS = [500, 2_500] as const;

/** An ingress is killed in the middle of its readers' streams; they go on at another. */
export const ingressKill: FaultRun = {
  name: "ingress-kill",
  title: "an ingress killed (SIGKILL) with all readers attached, each resumed on another",
  sizes: ["small", "full"],
  run: runIngressKill,
};

async function runIngressKill(context: RunContext): Promise<RunOutcome> {
  const { random, size } = context;
  const { readers } = SIZES[size];
  const options = {
    engineFlags: ["--step-ms", String(STEP_MS), "--max-num-seqs", String(readers)],
    ingresses: 2,
    worker: { WORKER_MAX_IN_FLIGHT: String(readers), WORKER_INITIAL_IN_FLIGHT: String(readers) },
  };
  return withSite(context, options, async (site) => {
    const [doomed, other] = site.platform.ingresses;
    if (doomed === undefined || other === undefined) throw new RangeError("two are needed");
    const reading = new Progress();
    const seen = new Set<string>();
    const load = site.load({
      outstanding: readers,
      urls: [other.url],
      readerUrls: [doomed.url, other.url],
      onEvent: (id, { type }) => {
        if (type !== "output.delta" || seen.has(id)) return;
        seen.add(id);
        reading.advance();
      },
    });
    const killAtWork = async (): Promise<number> => {
      await reading.reach(readers);
      await delay(random.between(...KILL_AFTER_MS));
      await doomed.kill();
      return performance.now();
    };
    const [killedAtMs] = await site.bounded(
      Promise.all([killAtWork(), load.run(makeCases(random, readers, TOKENS))]),
    );
    const findings = await site.verify(load);
    const cut = load.accepted.filter(({ transcript }) => transcript.connections > 1);
    const whole = load.accepted.filter(({ job, transcript }) => isWhole(job, transcript));
    const pauses = cut.map(({ transcript }) => pauseSeconds(transcript, killedAtMs));
    return {
      findings,
      figures: {
        readers_cut_off: atLeast(cut.length, readers, ""),
        transcripts_equal: atLeast(whole.length, readers, ""),
        ...countBrokenPromises(findings),
        pause_p99_s: told(quantile(pauses, 0.99), "s"),
      },
    };
  });
}

function isWhole({ expected }: AcceptedJob["job"], { events }: AcceptedJob["transcript"]): boolean {
  return events.map(({ text }) => text).join("") === expected.text;
}

/** How long a reader saw nothing around the kill. */
function pauseSeconds({ events }: AcceptedJob["transcript"], killedAtMs: number): number {
  const before = events.findLast(({ atMs }) => atMs <= killedAtMs)?.atMs ?? killedAtMs;
  const after = events.find(({ atMs, id }) => atMs > killedAtMs && id !== "")?.atMs ?? Infinity;
  return (after - before) / 1_000;
}
