import { setTimeout as delay } from "node:timers/promises";

import { FaultProxy } from "@headrace/testkit/instruments";

import { makeCasesWhile } from "../job-case.ts";
import { atLeast, countBrokenPromises, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { withSite, type Site } from "../site.ts";

const SIZES = {
  small: { replies: 40, counts: 2 },
  full: { replies: 1_000, counts: 30 },
} as const;

const WORKERS = 4;
const INGRESSES = 2;
const OUTSTANDING = 100;
const TOKENS = { fewestTokens: 8, mostTokens: 48 } as const;
/** What a command that runs a script starts with: every change is one. */
const SCRIPT_CALL = "evalsha";
/** What only the call that counts usage holds: there is one of it among hundreds of others. */
const SETTLE_CALL = "}:settled";
/** How long such a call is waited for: one ingress at a time settles. */
const SETTLE_WAIT_MS = 1_500;
/** Between two losses of a worker: it has to come back first. */
const WORKER_PAUSE_MS = [20, 250] as const;
/** Between two losses of an ingress, through which all jobs have to come. */
const INGRESS_PAUSE_MS = [700, 2_000] as const;
const LOOK_MS = 5;

/** Redis does what it is asked to, and its answer never arrives. */
export const lostReplies: FaultRun = {
  name: "lost-replies",
  title: "replies of Redis dropped after it had run the script, to workers and to ingresses",
  sizes: ["small", "full"],
  run: runLostReplies,
};

async function runLostReplies(context: RunContext): Promise<RunOutcome> {
  const { random, size } = context;
  const { replies, counts } = SIZES[size];
  let recounts = 0;
  const onDropped = (call: string): void => {
    if (call === SETTLE_CALL) recounts += 1;
  };
  const options = { engineFlags: ["--step-ms", "5"], ingresses: 0, workers: 0 };
  return withSite(context, options, async (site) => {
    const proxies = await startBehindProxies(site);
    const dropped = (): number => proxies.reduce((sum, proxy) => sum + proxy.dropped, 0);
    const goesOn = (): boolean =>
      (dropped() < replies || recounts < counts) && !context.signal.aborted;
    try {
      const load = site.load({ outstanding: OUTSTANDING });
      await site.bounded(
        Promise.all([
          load.run(makeCasesWhile(goesOn, random, TOKENS)),
          ...proxies.map(async (proxy, at) => {
            const draw = random.fork(`proxy ${at}`);
            const [least, most] = at < INGRESSES ? INGRESS_PAUSE_MS : WORKER_PAUSE_MS;
            const pauseMs = (): number => draw.between(least, most);
            const calls = at < INGRESSES ? [SETTLE_CALL, SCRIPT_CALL] : [SCRIPT_CALL];
            await dropAgain(proxy, { pauseMs, calls, onDropped }, goesOn);
          }),
        ]),
      );
      const findings = await site.verify(load);
      return {
        findings,
        figures: {
          jobs: told(load.accepted.length, ""),
          replies_dropped: atLeast(dropped(), replies, ""),
          counts_made_again: atLeast(recounts, counts, ""),
          ...countBrokenPromises(findings),
          attempts_made_again: told(site.countReattempts(), ""),
          refused_submits: told(load.refusals, ""),
        },
      };
    } finally {
      // Nobody can stop in order whose Redis is unreachable: the platform goes first.
      await site.platform.stop();
      await Promise.all(proxies.map((proxy) => proxy.close()));
    }
  });
}

/** Start ingresses and workers, each with a proxy of its own between it and Redis. */
async function startBehindProxies({ platform }: Site): Promise<FaultProxy[]> {
  const proxies: FaultProxy[] = [];
  for (let at = 0; at < INGRESSES + WORKERS; at += 1) {
    const proxy = await FaultProxy.start(platform.redis.port);
    proxies.push(proxy);
    const environment = { REDIS_URL: `redis://127.0.0.1:${proxy.port}` };
    await (at < INGRESSES ? platform.startIngress(environment) : platform.startWorker(environment));
  }
  return proxies;
}

async function dropAgain(
  proxy: FaultProxy,
  {
    pauseMs,
    calls,
    onDropped,
  }: {
    readonly pauseMs: () => number;
    readonly calls: readonly string[];
    readonly onDropped: (call: string) => void;
  },
  goesOn: () => boolean,
): Promise<void> {
  for (let turn = 0; goesOn(); turn += 1) {
    const call = calls[turn % calls.length] ?? SCRIPT_CALL;
    const untilMs = performance.now() + (call === SETTLE_CALL ? SETTLE_WAIT_MS : Infinity);
    const before = proxy.dropped;
    proxy.dropReplies(1, call);
    while (proxy.dropped === before && performance.now() < untilMs && goesOn()) {
      await delay(LOOK_MS);
    }
    if (proxy.dropped === before) continue;
    onDropped(call);
    await delay(pauseMs());
  }
  proxy.heal();
}
