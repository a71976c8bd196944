import { setTimeout as delay } from "node:timers/promises";

import { Agent, request, type Dispatcher } from "undici";
import { z } from "zod";

import { keys } from "../../../packages/broker/src/keys.ts";
import { quantile } from "../../bench/statistics.ts";
import { readRssBytes } from "../../bench/process-usage.ts";
import { API_KEY } from "../../platform.ts";
import { makeCasesWhile, type JobCase } from "../job-case.ts";
import { EVERY_ENTRY } from "../ledger.ts";
import { atLeast, atMost, told } from "../promises.ts";
import type { FaultRun, RunContext, RunOutcome } from "../run.ts";
import { withSite, type Site } from "../site.ts";

const SIZES = {
  small: { warmUp: 300, jobs: 900, isTimed: false },
  // As much before as after: what a peak leaves of pages is the same both times, and only a leak grows.
  full: { warmUp: 100_000, jobs: 100_000, isTimed: true },
} as const;

/** Whose the one API key is. */
const TENANT = "default";
const AT_ONCE = 64;
const TOKENS = { fewestTokens: 1, mostTokens: 8 } as const;
const RETENTION_SECONDS = 2;
/** The tenant's list keeps an id for two minutes, and then forgets a thousand a second. */
const FORGOTTEN_MS = 300_000;
/** Expiry of entries, the sweep's pass, and Redis' own rounds. */
const EXPIRED_MS = 20_000;
const LOOK_MS = 500;
const READINGS = 7;
/** A platform at rest holds some fifteen keys, some of which come and go with the second. */
const KEYS_AT_REST = 50;
/** "Back to where it was", with what a garbage collector leaves lying about. */
const GROWTH_LIMIT = 1.05;

const answerSchema = z.looseObject({
  status: z.string(),
  result: z.looseObject({
    choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string() }) })),
  }),
});

/** Very many short jobs; once they are past their retention nothing of them is left anywhere. */
export const soak: FaultRun = {
  name: "soak",
  title: "very many short jobs, then nothing until all are past their time to live",
  sizes: ["small", "full"],
  run: runSoak,
};

async function runSoak(context: RunContext): Promise<RunOutcome> {
  const { warmUp, jobs, isTimed } = SIZES[context.size];
  const options = { engineFlags: ["--step-ms", "1"] };
  return withSite(context, options, async (site) => {
    const rushes = new Rush(site, context);
    await rushes.run(warmUp);
    const before = await settle(site, isTimed);
    context.say(`after ${warmUp} jobs: ${JSON.stringify(before)}`);
    const wrong = await rushes.run(jobs);
    const after = await settle(site, isTimed);
    context.say(`after ${jobs} more: ${JSON.stringify(after)}`);
    const growth = (name: keyof Holdings): number => after[name] / before[name];
    const held = (value: number): ReturnType<typeof told> =>
      // A short run ends before memory is where it will stay.
      isTimed ? atMost(value, GROWTH_LIMIT, "×") : told(value, "×");
    return {
      findings: [],
      figures: {
        jobs: atLeast(rushes.answered - warmUp, jobs, ""),
        wrong_answers: atMost(wrong, 0, ""),
        redis_keys: atMost(growth("keys"), GROWTH_LIMIT, "×"),
        redis_bytes: held(growth("redisBytes")),
        redis_rss: held(growth("redisRss")),
        ingress_rss: held(growth("ingressRss")),
        worker_rss: held(growth("workerRss")),
      },
    };
  });
}

/** What the platform holds: keys, and bytes. */
interface Holdings {
  readonly keys: number;
  readonly redisBytes: number;
  readonly redisRss: number;
  readonly ingressRss: number;
  readonly workerRss: number;
}

/** Wait until every job is forgotten, and read what is left. */
async function settle(site: Site, isTimed: boolean): Promise<Holdings> {
  const { redis, platform } = site;
  const isForgotten = async (): Promise<boolean> => {
    const listed = isTimed ? await redis.zcard(keys.jobs(TENANT)) : 0;
    const [, entries] = await redis.scan(0, "MATCH", EVERY_ENTRY, "COUNT", 1_000_000);
    return listed + entries.length === 0;
  };
  const untilMs = performance.now() + (isTimed ? FORGOTTEN_MS : EXPIRED_MS);
  while (performance.now() < untilMs && !(await isForgotten())) await delay(LOOK_MS);
  const readings: Holdings[] = [];
  for (let count = 0; count < READINGS; count += 1) {
    await delay(LOOK_MS);
    const [worker] = platform.workers;
    readings.push({
      keys: Math.max(await redis.dbsize(), KEYS_AT_REST),
      redisBytes: Number(/used_memory:(\d+)/.exec(await redis.info("memory"))?.[1]),
      redisRss: readRssBytes(platform.redis.pid),
      ingressRss: readRssBytes(platform.ingress.pid),
      workerRss: readRssBytes(worker?.pid ?? 0),
    });
  }
  const middle = (name: keyof Holdings): number =>
    quantile(
      readings.map((reading) => reading[name]),
      0.5,
    );
  return {
    keys: middle("keys"),
    redisBytes: middle("redisBytes"),
    redisRss: middle("redisRss"),
    ingressRss: middle("ingressRss"),
    workerRss: middle("workerRss"),
  };
}

/** Callers that submit one job after the other, each waiting for its result. */
class Rush {
  /** Jobs answered with their result. */
  answered = 0;
  readonly #site: Site;
  readonly #context: RunContext;
  #rounds = 0;

  constructor(site: Site, context: RunContext) {
    this.#site = site;
    this.#context = context;
  }

  /** @returns how many answers were wrong */
  async run(jobs: number): Promise<number> {
    const { random, signal } = this.#context;
    const dispatcher = new Agent({ connections: AT_ONCE });
    this.#rounds += 1;
    const cases = makeCasesWhile(() => !signal.aborted, random.fork(`rush ${this.#rounds}`), {
      ...TOKENS,
      submit: { retention_seconds: RETENTION_SECONDS },
    }).take(jobs);
    let wrong = 0;
    const call = async (): Promise<void> => {
      for (const job of cases) if (!(await this.#ask(job, dispatcher))) wrong += 1;
    };
    await Promise.all(Array.from({ length: AT_ONCE }, call));
    await dispatcher.close();
    return wrong;
  }

  async #ask({ submit, expected }: JobCase, dispatcher: Dispatcher): Promise<boolean> {
    const { body } = await request(`${this.#site.platform.url}/v1/jobs`, {
      method: "POST",
      dispatcher,
      headers: {
        authorization: `Bearer ${API_KEY}`,
        "content-type": "application/json",
        prefer: "wait=60",
      },
      body: JSON.stringify(submit),
    });
    const answer = answerSchema.safeParse(await body.json());
    this.answered += 1;
    return answer.data?.result.choices[0]?.message.content === expected.text;
  }
}
