import { setTimeout as delay } from "node:timers/promises";

import { startBatch, whenDone, withStorage } from "../batches.ts";
import { readTokens } from "../engine-tokens.ts";
import type { Measurements } from "../figure.ts";
import { engineCalls } from "../loads/engine-calls.ts";
import { numberedPrompt } from "../loads/numbered-prompt.ts";
import { MODEL, Stack, type Bench } from "../stack.ts";

/** As `batch_slack`'s: some 26 a second fill the engine, so that two cores do for all processes. */
const SHAPE = { model: MODEL, promptTokens: 1_024, outputTokens: 32 } as const;
/** Calls at once that the engine is tried with, straight. */
const CONCURRENCIES = [32, 64, 128, 256];
const RAMP_MS = 6_000;
const WINDOW_MS = 15_000;
const LINES = 1_000;
const LEAST_SHARE = 0.95;
const MS_PER_SECOND = 1_000;
const NUMBERS = 100_000;

/** Measure how full a batch keeps the engine: its tokens a second, of the most that it does by itself. */
export function measureBatchFullEngine(bench: Bench): Promise<Measurements> {
  return withStorage((storageUrl) =>
    Stack.with(bench, { storageUrl, engineFlags: ["--profile", "h100-8b"] }, async (stack) => {
      let best = 0;
      for (const [round, atOnce] of CONCURRENCIES.entries()) {
        const perSecond = await measureStraight(stack, atOnce, round * NUMBERS);
        bench.say(`${atOnce} calls at once: ${perSecond.toFixed(0)} tokens a second`);
        best = Math.max(best, perSecond);
      }
      bench.say("as a batch");
      const questions = Array.from({ length: LINES }, (_, i) => ({
        prompt: numberedPrompt(CONCURRENCIES.length * NUMBERS + i, SHAPE.promptTokens),
        outputTokens: SHAPE.outputTokens,
      }));
      const batch = await startBatch(stack.api, questions);
      const rate = await measureRate(stack);
      await whenDone(stack.api, batch);
      const unit = "tokens/s";
      return {
        batch_full_engine: {
          value: rate / best,
          unit: "of the engine's own",
          limit: { value: LEAST_SHARE, bound: "at_least" },
        },
        engine_best_tokens_per_second: { value: best, unit, limit: null },
      };
    }),
  );
}

async function measureStraight(stack: Stack, atOnce: number, firstNumber: number): Promise<number> {
  const { url, headers } = stack.engine;
  const forMs = RAMP_MS + WINDOW_MS;
  const task = { ...SHAPE, url, headers: { ...headers }, atOnce, forMs, firstNumber };
  const load = stack.startLoad();
  const calls = load.run(engineCalls, task);
  const rate = await measureRate(stack);
  await calls;
  await load.stop();
  return rate;
}

/** Tokens a second, once what was just started is well under way. */
async function measureRate({ engine }: Stack): Promise<number> {
  await delay(RAMP_MS);
  const before = await readTokens(engine);
  const startedAt = performance.now();
  await delay(WINDOW_MS);
  const tokens = (await readTokens(engine)) - before;
  return (tokens * MS_PER_SECOND) / (performance.now() - startedAt);
}
