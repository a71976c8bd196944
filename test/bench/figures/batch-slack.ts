import { setTimeout as delay } from "node:timers/promises";

import type { Measurements } from "../figure.ts";
import { numberedSubmissions } from "../loads/numbered-submissions.ts";
import { pacedCalls } from "../loads/paced-calls.ts";
import { MODEL, Stack, type Bench } from "../stack.ts";
import { readTokens } from "../engine-tokens.ts";
import { quantile } from "../statistics.ts";

/**
 * What every job of the benchmark asks: about 26 of them a second fill the engine, so that two cores
 * do for all processes and what is measured is the engine.
 */
const SHAPE = { model: MODEL, promptTokens: 1_024, outputTokens: 32 } as const;
const BATCH_JOBS = 3_000;
/** Of what the engine can do, this share is what people ask of it. */
const INTERACTIVE_SHARE = 0.7;
const CAPACITY_JOBS = 500;
const RAMP_MS = 5_000;
const CAPACITY_MS = 10_000;
const WINDOW_MS = 60_000;
const WORST_RATIO = 1.5;
const LEAST_SHARE = 0.9;
const MS_PER_SECOND = 1_000;

/**
 * Measure what 3,000 batch jobs cost people who use the same engine, and what they get of it.
 *
 * First the engine's capacity, with nothing but batch jobs; then calls at 70 % of it alone; then the
 * same calls, at the same instants, beside the batch jobs.
 */
export function measureBatchSlack(bench: Bench): Promise<Measurements> {
  const engineFlags = ["--profile", "h100-8b", "--scheduling-policy", "priority"];
  return Stack.with(bench, { engineFlags }, async (stack) => {
    const engine = new SharedEngine(stack);
    bench.say("finding the engine's capacity");
    const capacity = await engine.capacity();
    const perSecond = capacity * INTERACTIVE_SHARE;
    bench.say(`${capacity.toFixed(1)} jobs a second; calls alone`);
    const alone = await engine.serveCalls(perSecond);
    bench.say("calls beside batch jobs");
    await engine.queueBatch(BATCH_JOBS);
    const beside = await engine.serveCalls(perSecond);
    return judge({ capacity, alone, beside });
  });
}

/** Calls of one window, and what else the engine did meanwhile. */
interface Window {
  readonly firstTextMs: readonly number[];
  readonly callsPerSecond: number;
  readonly othersPerSecond: number;
}

function judge(found: {
  readonly capacity: number;
  readonly alone: Window;
  readonly beside: Window;
}): Measurements {
  const { capacity, alone, beside } = found;
  const aloneMs = quantile(alone.firstTextMs, 0.99);
  const besideMs = quantile(beside.firstTextMs, 0.99);
  return {
    interactive_p99_ratio: {
      value: besideMs / aloneMs,
      unit: "of alone",
      limit: { value: WORST_RATIO, bound: "at_most" },
    },
    batch_slack_share: {
      value: beside.othersPerSecond / (capacity - beside.callsPerSecond),
      unit: "of slack",
      limit: { value: LEAST_SHARE, bound: "at_least" },
    },
    interactive_p99_alone_ms: { value: aloneMs, unit: "ms", limit: null },
    interactive_p99_beside_batch_ms: { value: besideMs, unit: "ms", limit: null },
    interactive_p50_ratio: {
      value: quantile(beside.firstTextMs, 0.5) / quantile(alone.firstTextMs, 0.5),
      unit: "of alone",
      limit: null,
    },
    engine_jobs_per_second: { value: capacity, unit: "jobs/s", limit: null },
  };
}

/** An engine that people and batch jobs share, and the loads on it. */
class SharedEngine {
  readonly #stack: Stack;
  readonly #callers;
  readonly #submitter;
  #number = 0;

  constructor(stack: Stack) {
    this.#stack = stack;
    this.#callers = stack.startLoad();
    this.#submitter = stack.startLoad();
  }

  /** @returns jobs per second of an engine that has as many as it takes */
  async capacity(): Promise<number> {
    await this.queueBatch(CAPACITY_JOBS);
    await delay(RAMP_MS);
    const before = await readTokens(this.#stack.engine);
    const startedAt = performance.now();
    await delay(CAPACITY_MS);
    const tokens = (await readTokens(this.#stack.engine)) - before;
    const seconds = (performance.now() - startedAt) / MS_PER_SECOND;
    await this.#whenIdle();
    return tokens / seconds / SHAPE.outputTokens;
  }

  async queueBatch(count: number): Promise<void> {
    await this.#submitter.run(numberedSubmissions, {
      ...SHAPE,
      ...this.#target,
      priority: "batch",
      count,
      firstNumber: this.#next(count),
    });
  }

  /** Make calls for a window's length. */
  async serveCalls(perSecond: number): Promise<Window> {
    const before = await readTokens(this.#stack.engine);
    const startedAt = performance.now();
    const { firstTextMs } = await this.#callers.run(pacedCalls, {
      ...SHAPE,
      ...this.#target,
      perSecond,
      forMs: WINDOW_MS,
      firstNumber: this.#next(Math.ceil((perSecond * WINDOW_MS * 2) / MS_PER_SECOND)),
    });
    const seconds = (performance.now() - startedAt) / MS_PER_SECOND;
    const jobs = ((await readTokens(this.#stack.engine)) - before) / SHAPE.outputTokens;
    const callsPerSecond = firstTextMs.length / seconds;
    return { firstTextMs, callsPerSecond, othersPerSecond: jobs / seconds - callsPerSecond };
  }

  get #target(): { readonly url: string; readonly headers: Record<string, string> } {
    const { url, headers } = this.#stack.api;
    return { url, headers: { ...headers } };
  }

  #next(count: number): number {
    this.#number += count;
    return this.#number - count;
  }

  async #whenIdle(): Promise<void> {
    for (;;) {
      const before = await readTokens(this.#stack.engine);
      await delay(MS_PER_SECOND);
      if ((await readTokens(this.#stack.engine)) === before) return;
    }
  }
}
