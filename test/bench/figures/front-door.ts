import { z } from "zod";

import type { Measurement, Measurements } from "../figure.ts";
import { submissions } from "../loads/submissions.ts";
import { readCpuMs } from "../process-usage.ts";
import { SUBMISSION } from "../prompt.ts";
import { type Bench, Stack } from "../stack.ts";
import { sum } from "../statistics.ts";

const AT_ONCE = 64;
const WARM_UP_MS = 1_500;
const ROUND_MS = 2_000;
const ROUNDS = 6;
/** A quarter of the rate is what limits may cost. */
const LIMIT = 0.75;
const MS_PER_SECOND = 1_000;
const US_PER_MS = 1_000;

/** Tenants whose keys have limits: two connections each. */
const TENANTS = 32;

/** All that a key can be limited by, and so much of it that nothing is refused. */
const LIMITS = {
  requests_per_minute: 1_000_000_000,
  tokens_per_minute: 1_000_000_000,
  queued_jobs: 10_000_000,
  monthly_tokens: 1_000_000_000_000,
  monthly_cost: 1_000_000_000,
  models: {
    "headrace-sim-8b": { requests_per_minute: 1_000_000_000, tokens_per_minute: 1_000_000_000 },
  },
};

/** What submitting came to for a while. */
interface Pace {
  /** Jobs per second. */
  readonly rate: number;
  /** CPU time of the ingress and of Redis for each job, µs. */
  readonly cpuUs: number;
}

/** Of tenants whose keys have limits, and of one whose key has none. */
interface Round {
  readonly limited: Pace;
  readonly free: Pace;
}

/**
 * Measure how many jobs one ingress process takes in per second of tenants who share it, each with a
 * key of the registry that has every limit there is, against those of one caller with the environment's
 * key. That one is told by comparing two digests, reserves nothing, and has no turns to share: as near to
 * no authentication, limits and fairness as what is shipped can come.
 *
 * In turns, in short rounds, each kind first every other time: what the machine does meanwhile is
 * then the same for both.
 */
export function measureFrontDoor(bench: Bench): Promise<Measurements> {
  return Stack.with(bench, {}, async (stack) => {
    const keys: string[] = [];
    for (let tenant = 0; tenant < TENANTS; tenant += 1) keys.push(await makeKey(stack, tenant));
    const door = new Door(stack, keys);
    await stack.stopWorker();
    bench.say("warming up");
    await door.submitFreely(WARM_UP_MS);
    await door.submitLimited(WARM_UP_MS);
    const rounds: Round[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      bench.say(`round ${round + 1} of ${ROUNDS}`);
      rounds.push(await door.measure(round % 2 === 0));
    }
    return judge(rounds);
  });
}

function judge(rounds: readonly Round[]): Measurements {
  const limited = rounds.map((round) => round.limited.rate);
  const free = rounds.map((round) => round.free.rate);
  return {
    front_door_ratio: {
      value: sum(limited) / sum(free),
      unit: "of unlimited",
      limit: { value: LIMIT, bound: "at_least" },
      rounds: rounds.map((round) => round.limited.rate / round.free.rate),
    },
    limited_submit_per_second: told(limited, "jobs/s"),
    free_submit_per_second: told(free, "jobs/s"),
    limited_submit_cpu_us: told(
      rounds.map((round) => round.limited.cpuUs),
      "µs",
    ),
    free_submit_cpu_us: told(
      rounds.map((round) => round.free.cpuUs),
      "µs",
    ),
  };
}

/** What explains the ratio: on a busy machine CPU time says more than a rate. */
function told(rounds: readonly number[], unit: string): Measurement {
  return { value: sum(rounds) / rounds.length, unit, limit: null, rounds };
}

async function makeKey(stack: Stack, tenant: number): Promise<string> {
  const { url, headers } = stack.api;
  const answer = await fetch(new URL("/admin/v1/keys", url), {
    method: "POST",
    headers: { ...headers },
    body: JSON.stringify({ name: "bench", tenant: `bench-${tenant}`, limits: LIMITS }),
  });
  return z.object({ key: z.string() }).parse(await answer.json()).key;
}

/** Submits with either kind of key, from a process of its own. */
class Door {
  readonly #stack: Stack;
  readonly #keys: readonly string[];
  readonly #submitter;
  readonly #pids: readonly number[];

  constructor(stack: Stack, keys: readonly string[]) {
    const { ingress, redis } = stack.pids;
    this.#pids = [ingress, redis];
    this.#stack = stack;
    this.#keys = keys;
    this.#submitter = stack.startLoad();
  }

  async measure(isFreeFirst: boolean): Promise<Round> {
    if (!isFreeFirst) {
      const limited = await this.submitLimited(ROUND_MS);
      return { limited, free: await this.submitFreely(ROUND_MS) };
    }
    const free = await this.submitFreely(ROUND_MS);
    return { free, limited: await this.submitLimited(ROUND_MS) };
  }

  submitFreely(withinMs: number): Promise<Pace> {
    return this.#submit([this.#stack.api.headers], withinMs);
  }

  submitLimited(withinMs: number): Promise<Pace> {
    const callers = this.#keys.map((key) => ({
      ...this.#stack.api.headers,
      authorization: `Bearer ${key}`,
    }));
    return this.#submit(callers, withinMs);
  }

  async #submit(
    callers: readonly Readonly<Record<string, string>>[],
    withinMs: number,
  ): Promise<Pace> {
    const beforeMs = this.#cpuMs();
    const { accepted, elapsedMs } = await this.#submitter.run(submissions, {
      url: this.#stack.api.url,
      headers: callers.map((headers) => ({ ...headers })),
      body: JSON.stringify(SUBMISSION),
      connections: AT_ONCE,
      count: Number.MAX_SAFE_INTEGER,
      withinMs,
    });
    return {
      rate: (accepted * MS_PER_SECOND) / elapsedMs,
      cpuUs: ((this.#cpuMs() - beforeMs) * US_PER_MS) / accepted,
    };
  }

  #cpuMs(): number {
    return sum(this.#pids.map(readCpuMs));
  }
}
