import { startBatch, whenDone, withStorage } from "../batches.ts";
import type { Measurements } from "../figure.ts";
import { numberedPrompt } from "../loads/numbered-prompt.ts";
import { readPeakRssBytes } from "../process-usage.ts";
import { Stack, type Bench } from "../stack.ts";

const LINES = 50_000;
const PROMPT_TOKENS = 32;
const OUTPUT_TOKENS = 8;
const MEGABYTE = 1_000_000;
const MOST_RSS_MB = 250;
const MOST_REDIS_MB = 64;
const MS_PER_SECOND = 1_000;

/** Measure what a file of 50,000 lines takes of memory: the batcher's, the ingress' and Redis'. */
export function measureBatchMemory(bench: Bench): Promise<Measurements> {
  return withStorage((storageUrl) =>
    Stack.with(bench, { storageUrl, engineFlags: ["--profile", "fast"] }, async (stack) => {
      const questions = Array.from({ length: LINES }, (_, i) => ({
        prompt: numberedPrompt(i, PROMPT_TOKENS),
        outputTokens: OUTPUT_TOKENS,
      }));
      const before = await usedBytes(stack);
      const startedAt = performance.now();
      const batch = await startBatch(stack.api, questions);
      let most = before;
      let told = 0;
      await whenDone(stack.api, batch, async ({ request_counts: { completed } }) => {
        most = Math.max(most, await usedBytes(stack));
        if (completed - told < LINES / 5) return;
        told = completed;
        bench.say(`${completed} lines`);
      });
      const seconds = (performance.now() - startedAt) / MS_PER_SECOND;
      const unit = "MB";
      const rss = { value: MOST_RSS_MB, bound: "at_most" } as const;
      return {
        batch_memory: { value: readPeakRssBytes(stack.batcherPid) / MEGABYTE, unit, limit: rss },
        batch_ingress_memory: {
          value: readPeakRssBytes(stack.pids.ingress) / MEGABYTE,
          unit,
          limit: rss,
        },
        batch_redis_growth: {
          value: (most - before) / MEGABYTE,
          unit,
          limit: { value: MOST_REDIS_MB, bound: "at_most" },
        },
        batch_lines_per_second: { value: LINES / seconds, unit: "lines/s", limit: null },
      };
    }),
  );
}

async function usedBytes({ redis }: Stack): Promise<number> {
  const [, bytes] = /^used_memory:(\d+)/m.exec(await redis.info("memory")) ?? [];
  return Number(bytes);
}
