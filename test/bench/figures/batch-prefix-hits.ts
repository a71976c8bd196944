import { startBatch, whenDone, withStorage, type Question } from "../batches.ts";
import type { Measurements } from "../figure.ts";
import { numberedPrompt } from "../loads/numbered-prompt.ts";
import { Stack, type Bench, type Target } from "../stack.ts";

/** So many that their prompts do not all fit the engine's cache at once. */
const ENGINE_FLAGS = ["--profile", "fast", "--kv-blocks", "20000"];
const GROUPS = 600;
const LINES_EACH = 4;
const PREFIX_TOKENS = 1_000;
const QUESTION_TOKENS = 16;
const OUTPUT_TOKENS = 2;
const LEAST_SHARE = 0.9;
/** Park and Miller's generator: every run shuffles alike. */
const FACTOR = 48_271;
const MODULUS = 2_147_483_647;
const FIRST_STATE = 42;

/**
 * Measure how much of its prompts an engine finds in its cache when lines with long system prompts come
 * shuffled, against the same lines in the best order.
 */
export function measureBatchPrefixHits(bench: Bench): Promise<Measurements> {
  return withStorage((storageUrl) =>
    Stack.with(bench, { storageUrl, engineFlags: ENGINE_FLAGS }, async (stack) => {
      bench.say("in the best order");
      const best = await hitRate(stack, makeQuestions(0));
      bench.say("shuffled");
      const shuffled = await hitRate(stack, shuffle(makeQuestions(GROUPS)));
      return {
        batch_prefix_hits: {
          value: shuffled / best,
          unit: "of the best order's",
          limit: { value: LEAST_SHARE, bound: "at_least" },
        },
        batch_best_hit_rate: { value: best, unit: "of prompt tokens", limit: null },
      };
    }),
  );
}

async function hitRate({ api, engine }: Stack, questions: readonly Question[]): Promise<number> {
  const before = await readCache(engine);
  await whenDone(api, await startBatch(api, questions));
  const after = await readCache(engine);
  return (after.hits - before.hits) / (after.queries - before.queries);
}

function makeQuestions(firstGroup: number): Question[] {
  return Array.from({ length: GROUPS }, (_, group) => {
    const system = numberedPrompt(firstGroup + group, PREFIX_TOKENS);
    return Array.from({ length: LINES_EACH }, (_each, line) => ({
      system,
      prompt: numberedPrompt(line, QUESTION_TOKENS),
      outputTokens: OUTPUT_TOKENS,
    }));
  }).flat();
}

function shuffle(questions: readonly Question[]): Question[] {
  let state = FIRST_STATE;
  const keyed = questions.map((question) => {
    state = (state * FACTOR) % MODULUS;
    return { question, key: state };
  });
  return keyed.toSorted((a, b) => a.key - b.key).map(({ question }) => question);
}

async function readCache({ url }: Target): Promise<{ hits: number; queries: number }> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return { hits: read(page, "hits"), queries: read(page, "queries") };
}

function read(page: string, name: string): number {
  const line = new RegExp(`^vllm:prefix_cache_${name}_total(?:\\{.*\\})? (\\S+)`, "m");
  return Number(line.exec(page)?.[1]);
}
