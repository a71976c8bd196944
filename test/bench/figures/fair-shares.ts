import { setTimeout as delay } from "node:timers/promises";

import { Pool } from "undici";
import { z } from "zod";

import { readTokens } from "../engine-tokens.ts";
import type { Measurements } from "../figure.ts";
import { numberedSubmissions } from "../loads/numbered-submissions.ts";
import { MODEL, Stack, type Bench, type Target } from "../stack.ts";
import { median } from "../statistics.ts";

/** Ten milliseconds a step and sixteen at once: 50 jobs a second, which no part but the engine bounds. */
const ENGINE_FLAGS = ["--step-ms", "10"] as const;
const WORKER = { WORKER_MAX_IN_FLIGHT: "16", WORKER_INITIAL_IN_FLIGHT: "16" } as const;
const OUTPUT_TOKENS = 32;
const SHAPE = { model: MODEL, promptTokens: 32, outputTokens: OUTPUT_TOKENS } as const;
const FLOOD = 5_000;
const LATECOMERS = 20;
const RAMP_MS = 2_000;
const WINDOW_MS = 8_000;
const MS_PER_SECOND = 1_000;
/** What else a tenant with many jobs must be left, beside the twenty. */
const LEAST_THROUGHPUT = 0.9;

const keySchema = z.object({ key: z.string() });
const jobSchema = z.object({
  status: z.literal("completed"),
  created_at: z.number(),
  started_at: z.number(),
  ended_at: z.number(),
});

/**
 * Measure what one tenant's 5,000 jobs cost another who comes after them with 20, one by one; each
 * with a key of its own, in the same class.
 */
export function measureFairShares(bench: Bench): Promise<Measurements> {
  const options = { engineFlags: ENGINE_FLAGS, worker: WORKER };
  return Stack.with(bench, options, async (stack) => {
    const [flooding, late] = [await newKey(stack.api, "ada"), await newKey(stack.api, "bob")];
    bench.say("the latecomer alone");
    const alone = await runInTurn(late);
    bench.say(`${FLOOD} jobs of another tenant`);
    const { url, headers } = flooding;
    await stack.startLoad().run(numberedSubmissions, {
      ...SHAPE,
      url,
      headers: { ...headers },
      priority: "standard",
      count: FLOOD,
      firstNumber: 0,
    });
    await delay(RAMP_MS);
    const unharmed = await tokensPerSecond(stack.engine, () => delay(WINDOW_MS));
    bench.say("the latecomer beside them");
    const beside: Run[] = [];
    const shared = await tokensPerSecond(stack.engine, async () => {
      beside.push(...(await runInTurn(late)));
    });
    return judge({ alone, beside, unharmed, shared });
  });
}

/** One job's way, ms. */
interface Run {
  readonly waitMs: number;
  readonly serviceMs: number;
}

function judge(found: {
  readonly alone: readonly Run[];
  readonly beside: readonly Run[];
  readonly unharmed: number;
  readonly shared: number;
}): Measurements {
  const { alone, beside, unharmed, shared } = found;
  const aloneMs = median(alone.map(({ waitMs }) => waitMs));
  const serviceMs = median(alone.map(({ serviceMs: ms }) => ms));
  const besideMs = beside.map(({ waitMs }) => waitMs);
  const totalMs = beside.reduce((sum, { waitMs, serviceMs: ms }) => sum + waitMs + ms, 0);
  const own = (LATECOMERS * OUTPUT_TOKENS) / (totalMs / MS_PER_SECOND);
  return {
    latecomer_wait_ms: {
      value: median(besideMs),
      unit: "ms",
      limit: { value: 2 * aloneMs + serviceMs, bound: "at_most" },
      rounds: besideMs,
    },
    latecomer_wait_alone_ms: { value: aloneMs, unit: "ms", limit: null },
    latecomer_service_ms: { value: serviceMs, unit: "ms", limit: null },
    flood_throughput_ratio: {
      value: (shared - own) / (unharmed - own),
      unit: "of its rest",
      limit: { value: LEAST_THROUGHPUT, bound: "at_least" },
    },
  };
}

/** Make a key for a tenant. @returns the API as its owner calls it */
async function newKey(api: Target, tenant: string): Promise<Target> {
  const response = await fetch(`${api.url}/admin/v1/keys`, {
    method: "POST",
    headers: api.headers,
    body: JSON.stringify({ name: tenant, tenant }),
  });
  const { key } = keySchema.parse(await response.json());
  return { url: api.url, headers: { ...api.headers, authorization: `Bearer ${key}` } };
}

/** Run jobs one by one, each submitted when the one before has ended. */
async function runInTurn({ url, headers }: Target): Promise<Run[]> {
  const pool = new Pool(url);
  const runs: Run[] = [];
  for (let count = 0; count < LATECOMERS; count += 1) {
    const { body } = await pool.request({
      path: "/v1/jobs",
      method: "POST",
      headers: { ...headers, prefer: "wait=60" },
      body: JSON.stringify({
        endpoint: "/v1/chat/completions",
        request: {
          model: MODEL,
          messages: [{ role: "user", content: `Number ${count}` }],
          max_tokens: OUTPUT_TOKENS,
          ignore_eos: true,
        },
      }),
    });
    const job = jobSchema.parse(await body.json());
    runs.push({
      waitMs: (job.started_at - job.created_at) * MS_PER_SECOND,
      serviceMs: (job.ended_at - job.started_at) * MS_PER_SECOND,
    });
  }
  await pool.close();
  return runs;
}

async function tokensPerSecond(engine: Target, during: () => Promise<void>): Promise<number> {
  const before = await readTokens(engine);
  const startedAt = performance.now();
  await during();
  const tokens = (await readTokens(engine)) - before;
  return (tokens * MS_PER_SECOND) / (performance.now() - startedAt);
}
