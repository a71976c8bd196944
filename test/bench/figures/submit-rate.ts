import type { Measurements } from "../figure.ts";
import { bareAdds } from "../loads/bare-adds.ts";
import { submissions } from "../loads/submissions.ts";
import { SUBMISSION } from "../prompt.ts";
import { type Bench, Stack } from "../stack.ts";
import { sum } from "../statistics.ts";

const AT_ONCE = 64;
const WARM_UP_MS = 2_000;
const ROUND_MS = 3_000;
const ROUNDS = 4;
const LIMIT = 0.2;
const MS_PER_SECOND = 1_000;

/** Jobs per second. */
interface Rates {
  readonly submit: number;
  readonly bare: number;
}

/**
 * Measure how many jobs one ingress process takes in per second, against bare BullMQ's `add`.
 *
 * In turns, in short rounds, on the same Redis with nobody working the queue: 64 connections that
 * submit, then one process with 64 loops that add the same to a queue of its own.
 */
export function measureSubmitRate(bench: Bench): Promise<Measurements> {
  return Stack.with(bench, {}, async (stack) => {
    await stack.stopWorker();
    const source = new Source(stack);
    bench.say("warming up");
    await source.submitRate(WARM_UP_MS);
    await source.bareRate(WARM_UP_MS);
    const rounds: Rates[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      bench.say(`round ${round + 1} of ${ROUNDS}`);
      const submit = await source.submitRate(ROUND_MS);
      rounds.push({ submit, bare: await source.bareRate(ROUND_MS) });
    }
    return judge(rounds);
  });
}

function judge(rounds: readonly Rates[]): Measurements {
  const submit = rounds.map((round) => round.submit);
  const bare = rounds.map((round) => round.bare);
  const unit = "jobs/s";
  return {
    submit_ratio: {
      value: sum(submit) / sum(bare),
      unit: "of bare",
      limit: { value: LIMIT, bound: "at_least" },
      rounds: rounds.map((round) => round.submit / round.bare),
    },
    submit_per_second: { value: sum(submit) / ROUNDS, unit, limit: null, rounds: submit },
    bare_add_per_second: { value: sum(bare) / ROUNDS, unit, limit: null, rounds: bare },
  };
}

/** Makes jobs in either way, from a process for each. */
class Source {
  readonly #stack: Stack;
  readonly #submitter;
  readonly #adder;

  constructor(stack: Stack) {
    this.#stack = stack;
    this.#submitter = stack.startLoad();
    this.#adder = stack.startLoad();
  }

  /** @returns jobs per second */
  async submitRate(withinMs: number): Promise<number> {
    const { accepted, elapsedMs } = await this.#submitter.run(submissions, {
      url: this.#stack.api.url,
      headers: [{ ...this.#stack.api.headers }],
      body: JSON.stringify(SUBMISSION),
      connections: AT_ONCE,
      count: Number.MAX_SAFE_INTEGER,
      withinMs,
    });
    return (accepted * MS_PER_SECOND) / elapsedMs;
  }

  /** @returns jobs per second */
  async bareRate(withinMs: number): Promise<number> {
    const { added, elapsedMs } = await this.#adder.run(bareAdds, {
      redisUrl: this.#stack.otherDatabaseUrl,
      data: SUBMISSION,
      loops: AT_ONCE,
      count: Number.MAX_SAFE_INTEGER,
      withinMs,
    });
    return (added * MS_PER_SECOND) / elapsedMs;
  }
}
