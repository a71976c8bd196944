import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockPool } from "./block-pool.ts";
import { Scheduler, type SchedulerLimits } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";

const limits: SchedulerLimits = { maxNumSeqs: 4, maxNumBatchedTokens: 64, kvBlocks: 40 };
let ordinal = 0;

interface Wish {
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly priority?: number;
}

function sequenceOf({ promptIds, maxTokens, priority = 0 }: Wish): Sequence {
  const options = {
    promptIds,
    seed: 0,
    maxTokens,
    minTokens: 0,
    ignoreEos: true,
    stopTokenIds: [],
    priority,
    sink: { token: () => false, finished: () => {} },
  };
  return new Sequence(options, ordinal++, 0);
}

/** Run one step; gives the sequences that ended in it. */
function step(scheduler: Scheduler): Sequence[] {
  const { sequences } = scheduler.plan(0);
  for (const sequence of sequences) {
    scheduler.computed(sequence);
    if (sequence.computedTokens === sequence.length) sequence.outputIds.push(7);
  }
  const ended = sequences.filter((one) => one.outputIds.length >= one.options.maxTokens);
  for (const sequence of ended) scheduler.remove(sequence);
  return ended;
}

const prompt = (length: number, first = 0): number[] =>
  Array.from({ length }, (_, index) => (first + index) % 250);

describe("Scheduler", () => {
  test("ends or aborts every sequence, within its limits, and gives every block back", () => {
    const wish = fc.record({
      promptIds: fc.integer({ min: 1, max: 300 }).map((length) => prompt(length, length % 3)),
      maxTokens: fc.integer({ min: 1, max: 200 }),
      priority: fc.integer({ min: -1, max: 1 }),
      abortAtStep: fc.option(fc.nat(60)),
    });
    const property = fc.property(fc.array(wish, { maxLength: 12 }), (wishes) => {
      const scheduler = new Scheduler(limits);
      const all = wishes.map((one) => ({ ...one, sequence: sequenceOf(one) }));
      for (const { sequence } of all) scheduler.add(sequence);
      for (let steps = 0; scheduler.runningCount + scheduler.waitingCount > 0; steps++) {
        for (const one of all) if (one.abortAtStep === steps) scheduler.remove(one.sequence);
        step(scheduler);
        expect(scheduler.runningCount).toBeLessThanOrEqual(limits.maxNumSeqs);
        expect(steps).toBeLessThan(20_000);
      }

      expect(scheduler.pool.free).toBe(limits.kvBlocks);
      const kept = all.filter(({ abortAtStep }) => abortAtStep === null);
      expect(kept.map(({ sequence }) => sequence.outputIds.length)).toEqual(
        kept.map(({ maxTokens }) => maxTokens),
      );
    });
    fc.assert(property, { numRuns: 60 });
  });

  test("spends its budget on decodes before prompts, and reads long prompts in chunks", () => {
    const scheduler = new Scheduler(limits);
    const decoding = sequenceOf({ promptIds: prompt(10), maxTokens: 50 });
    const long = sequenceOf({ promptIds: prompt(150, 100), maxTokens: 5 });
    scheduler.add(decoding);
    step(scheduler);
    scheduler.add(long);

    const chunks = Array.from({ length: 4 }, () => {
      const { load } = scheduler.plan(0);
      for (const one of [decoding, long]) scheduler.computed(one);
      decoding.outputIds.push(7);
      return [load.decodes, load.prefillTokens];
    });

    expect(chunks).toEqual([
      [1, 63],
      [1, 63],
      [1, 24],
      [1, 0],
    ]);
  });

  test("preempts the youngest when blocks run out, and counts it", () => {
    const scheduler = new Scheduler({ ...limits, kvBlocks: 4 });
    const [elder, younger] = [0, 1].map((first) =>
      sequenceOf({ promptIds: prompt(16, first), maxTokens: 40 }),
    );
    if (elder === undefined || younger === undefined) throw new Error("two sequences are needed");
    scheduler.add(elder);
    scheduler.add(younger);
    for (let steps = 0; steps < 40 && scheduler.counts.preemptions === 0; steps++) step(scheduler);

    expect(elder.state).toBe("running");
    expect(younger.state).toBe("waiting");
    for (let steps = 0; steps < 100; steps++) step(scheduler);
    expect([elder.outputIds.length, younger.outputIds.length]).toEqual([40, 40]);
  });

  test("skips the prompt tokens whose blocks it still has", () => {
    const scheduler = new Scheduler(limits);
    scheduler.add(sequenceOf({ promptIds: prompt(40), maxTokens: 1 }));
    step(scheduler);
    scheduler.add(sequenceOf({ promptIds: prompt(48), maxTokens: 1 }));

    expect(scheduler.plan(0).load.prefillTokens).toBe(16);
    expect(scheduler.counts).toMatchObject({ prefixQueries: 88, prefixHits: 32 });
  });

  test("admits the lowest priority first, and among equals the first to come", () => {
    const scheduler = new Scheduler({ ...limits, maxNumSeqs: 1 });
    const names = new Map([
      [sequenceOf({ promptIds: prompt(3), maxTokens: 1, priority: 5 }), "late"],
      [sequenceOf({ promptIds: prompt(3), maxTokens: 1, priority: -5 }), "first"],
      [sequenceOf({ promptIds: prompt(3), maxTokens: 1, priority: -5 }), "second"],
    ]);
    for (const sequence of names.keys()) scheduler.add(sequence);

    const order = [1, 2, 3].flatMap(() => step(scheduler)).map((sequence) => names.get(sequence));
    expect(order).toEqual(["first", "second", "late"]);
  });
});

describe("BlockPool", () => {
  test("reuses the block that has been free for longest, and forgets what was in it", () => {
    const pool = new BlockPool(2);
    const first: number[] = [];
    pool.take(2, first);
    for (const [index, block] of first.entries()) pool.publish(block, 100 + index);
    pool.release(first);
    pool.take(1, []);

    expect(pool.holdPrefix([100])).toHaveLength(1);
    expect(pool.holdPrefix([101])).toHaveLength(0);
  });

  test("refuses to give more than is free, and changes nothing", () => {
    const pool = new BlockPool(3);
    const blocks: number[] = [];

    expect(pool.take(4, blocks)).toBe(false);
    expect([pool.free, blocks.length]).toEqual([3, 0]);
  });

  test("refuses to take a block back twice", () => {
    const pool = new BlockPool(1);
    const blocks: number[] = [];
    pool.take(1, blocks);
    pool.release(blocks);

    expect(() => pool.release(blocks)).toThrow(/released more often/);
  });
});
