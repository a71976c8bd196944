import { setTimeout as delay } from "node:timers/promises";

import type { Measurements } from "../figure.ts";
import { bareAdds } from "../loads/bare-adds.ts";
import { submissions } from "../loads/submissions.ts";
import { PROMPT_BYTES, SUBMISSION } from "../prompt.ts";
import { type Bench, Stack } from "../stack.ts";

const JOBS = 100_000;
const AT_ONCE = 64;
/** Longest that the jobs may take to get in, ms. */
const WITHIN_MS = 150_000;
/** Buffers of replies are gone by then, ms. */
const SETTLE_MS = 1_000;
/** 2.5 kB. */
const LIMIT_BYTES = 2_560;

/** Measure what 100,000 queued jobs of 1 kB cost Redis beyond their prompts, as BullMQ's own do. */
export function measureRedisMemory(bench: Bench): Promise<Measurements> {
  return Stack.with(bench, {}, async (stack) => {
    await stack.stopWorker();
    bench.say(`submitting ${JOBS} jobs`);
    const ours = await bytesPerJob(stack, () => submit(stack));
    bench.say(`adding ${JOBS} jobs to BullMQ alone`);
    const bare = await bytesPerJob(stack, () => add(stack));
    const unit = "bytes";
    return {
      redis_bytes_per_job: {
        value: ours,
        unit,
        limit: { value: LIMIT_BYTES, bound: "at_most" },
      },
      bare_bytes_per_job: { value: bare, unit, limit: null },
    };
  });
}

async function bytesPerJob(stack: Stack, makeJobs: () => Promise<number>): Promise<number> {
  const beforeBytes = await usedBytes(stack);
  const made = await makeJobs();
  if (made < JOBS) throw new Error(`${made} of ${JOBS} jobs got in within ${WITHIN_MS} ms`);
  await delay(SETTLE_MS);
  return ((await usedBytes(stack)) - beforeBytes) / JOBS - PROMPT_BYTES;
}

async function usedBytes({ redis }: Stack): Promise<number> {
  const [, bytes] = /^used_memory:(\d+)/m.exec(await redis.info("memory")) ?? [];
  return Number(bytes);
}

async function submit(stack: Stack): Promise<number> {
  const { accepted } = await stack.startLoad().run(submissions, {
    url: stack.api.url,
    headers: [{ ...stack.api.headers }],
    body: JSON.stringify(SUBMISSION),
    connections: AT_ONCE,
    count: JOBS,
    withinMs: WITHIN_MS,
  });
  return accepted;
}

async function add(stack: Stack): Promise<number> {
  const { added } = await stack.startLoad().run(bareAdds, {
    redisUrl: stack.otherDatabaseUrl,
    data: SUBMISSION,
    loops: AT_ONCE,
    count: JOBS,
    withinMs: WITHIN_MS,
  });
  return added;
}
