import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { EngineLoad } from "./gauges.ts";
import { InFlightWindow, type InFlightWindowOptions } from "./window.ts";

const STEP_MS = 25;
const LOOK_MS = 500;
const OUTPUT_TOKENS = 200;
/** Prompts of 500 tokens under vLLM's budget of 8,192 tokens a step. */
const PREFILLS_PER_STEP = 16;

interface ModelOptions {
  readonly maxRunning: number;
  readonly cacheTokens: number;
  readonly promptTokens: number;
  /** `--max-num-queued-reqs`; beyond it the engine answers 503. */
  readonly maxAccepted: number;
  readonly hasGauges: boolean;
}

/** An engine as vLLM schedules: one token per running request and step, the rest in a queue. */
class EngineModel {
  options: ModelOptions;
  preemptions = 0;
  #running: { promptTokens: number; tokens: number; limit: number }[] = [];
  #waiting: { promptTokens: number; tokens: number; limit: number }[] = [];
  #seed = 1;

  constructor(options: Partial<ModelOptions>) {
    const unbounded = { cacheTokens: 1e9, maxAccepted: 1e9, maxRunning: 256 };
    this.options = { ...unbounded, promptTokens: 500, hasGauges: true, ...options };
  }

  get inFlight(): number {
    return this.#running.length + this.#waiting.length;
  }

  get load(): EngineLoad | null {
    if (!this.options.hasGauges) return null;
    const used = this.#running.reduce(
      (sum, { promptTokens, tokens }) => sum + promptTokens + tokens,
      0,
    );
    const kvCacheUsage = used / this.options.cacheTokens;
    return { running: this.#running.length, waiting: this.#waiting.length, kvCacheUsage };
  }

  /** @returns whether there is room */
  send(): boolean {
    if (this.inFlight >= this.options.maxAccepted) return false;
    const limit = Math.ceil(OUTPUT_TOKENS * (0.5 + this.#random()));
    this.#waiting.push({ promptTokens: this.options.promptTokens, tokens: 0, limit });
    return true;
  }

  step(): void {
    const room = Math.min(PREFILLS_PER_STEP, this.options.maxRunning - this.#running.length);
    for (let count = 0; count < room && this.#waiting[0] !== undefined; count += 1) {
      if (this.#cacheTokens() + this.#waiting[0].promptTokens > this.options.cacheTokens) break;
      this.#running.push(...this.#waiting.splice(0, 1));
    }
    for (const request of this.#running) request.tokens += 1;
    this.#running = this.#running.filter(({ tokens, limit }) => tokens < limit);
    while (this.#cacheTokens() > this.options.cacheTokens) {
      this.#waiting.unshift(...this.#running.splice(-1));
      this.preemptions += 1;
    }
  }

  #cacheTokens(): number {
    return this.#running.reduce((sum, { promptTokens, tokens }) => sum + promptTokens + tokens, 0);
  }

  /** Park and Miller's generator: every run is the same. */
  #random(): number {
    this.#seed = (this.#seed * 48_271) % 2_147_483_647;
    return this.#seed / 2_147_483_647;
  }
}

/** A worker with an endless backlog: keeps the window full and looks at the engine. */
class Simulation {
  readonly engine: EngineModel;
  readonly window: InFlightWindow;
  nowMs = 0;
  refusals = 0;

  constructor(engine: Partial<ModelOptions>, window: InFlightWindowOptions = { maxSize: 1_024 }) {
    this.engine = new EngineModel(engine);
    this.window = new InFlightWindow(window);
  }

  /** @returns the window's size at each look */
  runFor(durationMs: number): number[] {
    const sizes: number[] = [];
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs; this.nowMs += STEP_MS) {
      this.#fill();
      this.engine.step();
      if (this.nowMs % LOOK_MS !== 0) continue;
      this.window.onLoad(this.engine.load, this.engine.inFlight, this.nowMs);
      sizes.push(this.window.size);
    }
    return sizes;
  }

  #fill(): void {
    while (this.engine.inFlight < this.window.size && this.nowMs >= this.window.pausedUntilMs) {
      if (this.engine.send()) this.window.onAccepted(this.nowMs);
      else {
        this.refusals += 1;
        this.window.onFull(this.nowMs, null);
      }
    }
  }
}

function spread(sizes: readonly number[]): { low: number; high: number; middle: number } {
  const sorted = sizes.toSorted((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return { low: Math.min(...sizes) / middle, high: Math.max(...sizes) / middle, middle };
}

function idle(): EngineLoad {
  return { running: 0, waiting: 0, kvCacheUsage: 0 };
}

describe("an engine of 256 slots", () => {
  test("is nine tenths full within 4 s of a start from 8", () => {
    const simulation = new Simulation({ maxRunning: 256 });

    simulation.runFor(4_000);

    expect(simulation.engine.load?.running).toBeGreaterThanOrEqual(0.9 * 256);
  });

  test("is kept full by a window that moves less than a fifth, with next to nothing waiting", () => {
    const simulation = new Simulation({ maxRunning: 256 });
    simulation.runFor(20_000);

    const { low, high, middle } = spread(simulation.runFor(120_000));

    expect(low).toBeGreaterThan(0.8);
    expect(high).toBeLessThan(1.2);
    expect(middle).toBeGreaterThanOrEqual(0.97 * 256);
    expect(middle).toBeLessThanOrEqual(1.1 * 256);
  });

  test("is filled again within 30 s when it grows to 512", () => {
    const simulation = new Simulation({ maxRunning: 256 });
    simulation.runFor(60_000);
    simulation.engine.options = { ...simulation.engine.options, maxRunning: 512 };

    simulation.runFor(30_000);

    expect(simulation.engine.load?.running).toBeGreaterThanOrEqual(0.9 * 512);
  });
});

describe("the cache of an engine", () => {
  test("bounds the window below what preempts requests, without swinging", () => {
    const simulation = new Simulation({ maxRunning: 1_024, cacheTokens: 60_000 });
    simulation.runFor(30_000);
    const preemptionsBefore = simulation.engine.preemptions;

    const { low, high, middle } = spread(simulation.runFor(120_000));

    expect(low).toBeGreaterThan(0.8);
    expect(high).toBeLessThan(1.2);
    expect((middle * 600) / 60_000).toBeGreaterThan(0.75);
    expect(simulation.engine.preemptions - preemptionsBefore).toBe(0);
  });

  test("shrinks the window when prompts grow, until preemption ends", () => {
    const simulation = new Simulation({ maxRunning: 1_024, cacheTokens: 120_000 });
    const sizeBefore = spread(simulation.runFor(40_000)).middle;
    simulation.engine.options = { ...simulation.engine.options, promptTokens: 1_500 };
    simulation.runFor(20_000);
    const preemptionsBefore = simulation.engine.preemptions;

    const { high, middle } = spread(simulation.runFor(60_000));

    expect(middle).toBeLessThan(sizeBefore / 2);
    expect(high).toBeLessThan(1.2);
    expect(simulation.engine.preemptions - preemptionsBefore).toBe(0);
  });
});

describe("refusals", () => {
  test("alone hold the window near the capacity of an engine without gauges", () => {
    const simulation = new Simulation({ maxAccepted: 100, hasGauges: false });
    simulation.runFor(20_000);
    simulation.refusals = 0;

    const { low, high, middle } = spread(simulation.runFor(120_000));

    expect(low).toBeGreaterThan(0.8);
    expect(high).toBeLessThan(1.2);
    expect(middle).toBeGreaterThan(85);
    expect(simulation.refusals).toBeLessThan(30);
  });

  test("pause twice as long each time while they go on, 5 s at most", () => {
    const window = new InFlightWindow({ maxSize: 64 });

    const pausesMs = Array.from({ length: 8 }, () => {
      const nowMs = Math.max(0, window.pausedUntilMs);
      window.onFull(nowMs, null);
      return window.pausedUntilMs - nowMs;
    });

    expect(pausesMs).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect(window.size).toBe(1);
  });

  test("of jobs that were sent together shrink the window once", () => {
    const window = new InFlightWindow({ maxSize: 64, initialSize: 50 });

    for (let job = 0; job < 20; job += 1) window.onFull(job, null);

    expect(window.size).toBe(40);
    expect(window.pausedUntilMs).toBe(100);
  });

  test("pause as long as the engine asks, 5 s at most", () => {
    const window = new InFlightWindow({ maxSize: 64 });

    window.onFull(0, 2_000);
    expect(window.pausedUntilMs).toBe(2_000);
    window.onFull(1_000, 60_000);
    expect(window.pausedUntilMs).toBe(6_000);
  });

  test("of a restarting engine do not cost the window its old size for long", () => {
    const simulation = new Simulation({ maxRunning: 256 });
    simulation.runFor(60_000);
    const { options } = simulation.engine;
    simulation.engine.options = { ...options, maxAccepted: 0 };
    simulation.runFor(30_000);
    expect(simulation.window.size).toBeLessThan(100);
    simulation.engine.options = options;

    simulation.runFor(8_000);

    expect(simulation.window.size).toBeGreaterThan(0.9 * 256);
  });

  test("keep the window from growing until a job is accepted", () => {
    const window = new InFlightWindow({ maxSize: 64, initialSize: 10 });
    window.onFull(0, null);

    window.onLoad(idle(), 8, 1_000);
    expect(window.size).toBe(8);
    window.onAccepted(1_100);
    window.onLoad(idle(), 8, 1_500);
    expect(window.size).toBe(9);
  });

  test("start over at 100 ms after a job was accepted", () => {
    const window = new InFlightWindow({ maxSize: 64 });
    for (let nowMs = 0; nowMs < 800; nowMs = window.pausedUntilMs) window.onFull(nowMs, null);

    window.onAccepted(window.pausedUntilMs);
    window.onFull(10_000, null);

    expect(window.pausedUntilMs).toBe(10_100);
  });
});

describe("the window", () => {
  test("stands still while it is not used", () => {
    const window = new InFlightWindow({ maxSize: 64 });

    for (let nowMs = 0; nowMs < 60_000; nowMs += LOOK_MS) window.onLoad(idle(), 3, nowMs);

    expect(window.size).toBe(8);
  });

  test("takes a queue for standing only when two looks running find it", () => {
    const window = new InFlightWindow({ maxSize: 256, initialSize: 128 });
    const queued = { running: 64, waiting: 64, kvCacheUsage: 0.1 };

    window.onLoad(queued, 128, 0);
    expect(window.size).toBe(128);
    window.onLoad(queued, 128, 500);
    expect(window.size).toBe(68);
  });

  test("grows no faster than the engine can show, however often it is looked at", () => {
    const window = new InFlightWindow({ maxSize: 1_024 });

    for (let nowMs = 0; nowMs < 400; nowMs += 10) window.onLoad(idle(), window.size, nowMs);

    expect(window.size).toBe(32);
  });

  test("stays between 1 and its maximum whatever it is told", () => {
    const gauge = fc.integer({ min: 0, max: 5_000 });
    const load = fc.record({
      running: gauge,
      waiting: gauge,
      kvCacheUsage: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const report = fc.oneof(
      fc.record({ load: fc.option(load), inFlight: gauge }),
      fc.record({ retryAfterMs: fc.option(fc.integer({ min: 0, max: 100_000 })) }),
      fc.constant("accepted" as const),
    );
    fc.assert(
      fc.property(fc.array(report, { maxLength: 200 }), (reports) => {
        const window = new InFlightWindow({ maxSize: 100 });
        for (const [index, said] of reports.entries()) {
          const nowMs = index * 137;
          if (said === "accepted") window.onAccepted(nowMs);
          else if ("load" in said) window.onLoad(said.load, said.inFlight, nowMs);
          else window.onFull(nowMs, said.retryAfterMs);
          expect(Number.isInteger(window.size) && window.size >= 1 && window.size <= 100).toBe(
            true,
          );
        }
      }),
    );
  });
});
