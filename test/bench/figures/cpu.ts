import type { Measurements } from "../figure.ts";
import type { LoadProcess } from "../load-process.ts";
import { chatStreams } from "../loads/chat-streams.ts";
import { readCpuMs } from "../process-usage.ts";
import { type Bench, MODEL, Stack } from "../stack.ts";
import { sum } from "../statistics.ts";

const STEP_MS = 10;
const TOKENS = 64;
const IN_FLIGHT = 64;
/** V8 compiles what runs often: after 500 jobs that took 14 % of the worker's CPU, after 4,000 7 %. */
const WARM_UP_JOBS = 2_000;
const ROUNDS = 5;
const JOBS_PER_ROUND = 600;
const LIMIT = 3;

const BODY = JSON.stringify({
  model: MODEL,
  messages: [{ role: "user", content: "Tell me how a headrace carries water to a turbine." }],
  max_tokens: TOKENS,
  ignore_eos: true,
  stream: true,
  stream_options: { include_usage: true },
});

/** CPU time of each process per job, ms. */
interface Costs {
  readonly ingress: number;
  readonly worker: number;
  readonly redis: number;
  readonly bareClient: number;
}

/**
 * Measure the CPU time that the platform spends per streamed job, against that of a bare client
 * which reads the same streams straight from the engine.
 *
 * Both are driven in turn by the same client program, each by a process of its own; the one that
 * drives Headrace is not counted.
 */
export function measureCpu(bench: Bench): Promise<Measurements> {
  return Stack.with(bench, { engineFlags: ["--step-ms", String(STEP_MS)] }, async (stack) => {
    const driver = stack.startLoad();
    const bareClient = stack.startLoad();
    bench.say("warming up");
    await stream(driver, stack.api, WARM_UP_JOBS);
    await stream(bareClient, stack.engine, WARM_UP_JOBS);
    const rounds: Costs[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      bench.say(`round ${round + 1} of ${ROUNDS}`);
      rounds.push(await measureRound(stack, { driver, bareClient }));
    }
    return judge(rounds);
  });
}

async function measureRound(
  stack: Stack,
  { driver, bareClient }: { readonly driver: LoadProcess; readonly bareClient: LoadProcess },
): Promise<Costs> {
  const { pids } = stack;
  const platform = await cpuPerJob([pids.ingress, pids.worker, pids.redis], () =>
    stream(driver, stack.api, JOBS_PER_ROUND),
  );
  const bare = await cpuPerJob([bareClient.pid], () =>
    stream(bareClient, stack.engine, JOBS_PER_ROUND),
  );
  const [ingress = NaN, worker = NaN, redis = NaN] = platform;
  return { ingress, worker, redis, bareClient: bare[0] ?? NaN };
}

function judge(rounds: readonly Costs[]): Measurements {
  const part = (name: keyof Costs): Measurements[string] => ({
    value: sum(rounds.map((round) => round[name])) / rounds.length,
    unit: "ms/job",
    limit: null,
    rounds: rounds.map((round) => round[name]),
  });
  const platform = sum(rounds.map(({ ingress, worker, redis }) => ingress + worker + redis));
  return {
    cpu_ratio: {
      value: platform / sum(rounds.map(({ bareClient }) => bareClient)),
      unit: "× bare",
      limit: { value: LIMIT, bound: "at_most" },
      rounds: rounds.map(
        (round) => (round.ingress + round.worker + round.redis) / round.bareClient,
      ),
    },
    cpu_ingress_ms: part("ingress"),
    cpu_worker_ms: part("worker"),
    cpu_redis_ms: part("redis"),
    cpu_bare_client_ms: part("bareClient"),
  };
}

async function stream(
  client: LoadProcess,
  to: { readonly url: string; readonly headers: Readonly<Record<string, string>> },
  count: number,
): Promise<void> {
  await client.run(chatStreams, {
    url: to.url,
    headers: { ...to.headers },
    body: BODY,
    count,
    inFlight: IN_FLIGHT,
    spreadMs: TOKENS * STEP_MS,
    completionTokens: TOKENS,
  });
}

/** Tell what each process spends while `work` runs, ms per job of a round. */
async function cpuPerJob(pids: readonly number[], work: () => Promise<void>): Promise<number[]> {
  const before = pids.map(readCpuMs);
  await work();
  return pids.map((pid, at) => (readCpuMs(pid) - (before[at] ?? NaN)) / JOBS_PER_ROUND);
}
