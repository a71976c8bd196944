import type { JobId } from "@headrace/contract";
import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { lineTest as test, type Line, type Wish } from "./test-line.ts";

/** Jobs that the engine has at once. */
const SLOTS = 16;
const LONG = 4_000;

/** Whose each job is, and what it comes to. */
type Work = Map<JobId, { readonly tenant: string; readonly tokens: number }>;

/** Submit so many jobs of each, in turns, that each generate so much. */
async function queue(
  line: Line,
  count: number,
  wishes: readonly (Wish & { readonly truth: number })[],
): Promise<Work> {
  const work: Work = new Map();
  for (let round = 0; round < count; round += 1) {
    for (const { truth, ...wish } of wishes) {
      work.set(await line.submit(wish), { tenant: wish.tenant, tokens: truth });
    }
  }
  return work;
}

/** Keep the engine's slots full until so many jobs have ended, oldest first. @returns tokens by tenant */
async function run(
  line: Line,
  work: Work,
  { count, running = [] }: { readonly count: number; readonly running?: JobId[] },
): Promise<Map<string, number>> {
  const generated = new Map<string, number>();
  for (let ended = 0; ended < count; ended += 1) {
    while (running.length < SLOTS) {
      const job = await line.start();
      if (job === null) break;
      running.push(job);
    }
    const job = running.shift();
    const done = job === undefined ? undefined : work.get(job);
    if (job === undefined || done === undefined) throw new Error("no job of this test runs");
    await line.end(job, done.tokens);
    generated.set(done.tenant, (generated.get(done.tenant) ?? 0) + done.tokens);
  }
  return generated;
}

function ratio(generated: Map<string, number>): number {
  return (generated.get("ada") ?? 0) / (generated.get("bob") ?? 0);
}

describe("two tenants whose jobs generate alike", () => {
  test("get the same number of tokens, though one leaves max_tokens out", async ({ line }) => {
    const work = await queue(line, 150, [
      { tenant: "ada", tokens: null, truth: LONG },
      { tenant: "bob", tokens: LONG, truth: LONG },
    ]);

    const generated = await run(line, work, { count: 150 });

    expect(ratio(generated)).toBeGreaterThan(0.85);
    expect(ratio(generated)).toBeLessThan(1.15);
  });

  test("get the same, whoever comes first and with jobs of whatever length", async ({ line }) => {
    const early = await queue(line, 100, [{ tenant: "ada", tokens: null, truth: 12_000 }]);
    const running: JobId[] = [];
    await run(line, early, { count: 20, running });
    const late = await queue(line, 700, [{ tenant: "bob", tokens: 500, truth: 500 }]);

    const generated = await run(line, new Map([...early, ...late]), { count: 520, running });

    expect(ratio(generated)).toBeGreaterThan(0.85);
    expect(ratio(generated)).toBeLessThan(1.15);
  });

  test("share by their weights what is generated", async ({ line }) => {
    const work = await queue(line, 150, [
      { tenant: "ada", tokens: null, truth: LONG, weight: 2 },
      { tenant: "bob", tokens: LONG, truth: LONG },
    ]);

    const generated = await run(line, work, { count: 150 });

    expect(ratio(generated) / 2).toBeGreaterThan(0.85);
    expect(ratio(generated) / 2).toBeLessThan(1.15);
  });
});

describe("a tenant whose job has ended", () => {
  test("is charged what it took more, and next comes so much later", async ({ line }) => {
    const work = await queue(line, 1, [{ tenant: "ada", tokens: null, truth: 10_000 }]);
    await run(line, work, { count: 1 });
    const next = await line.submit({ tenant: "ada" });
    // Each charged a thousand: the tenth begins where ada is by now.
    const others = await queue(line, 15, [{ tenant: "bob", tokens: 1_000, truth: 1_000 }]);

    const started = await line.startAll();

    expect(started).toHaveLength(others.size + 1);
    expect(started.indexOf(next)).toBeGreaterThanOrEqual(9);
    expect(started.indexOf(next)).toBeLessThanOrEqual(11);
  });

  test("gets back what it took less", async ({ line, redis }) => {
    const before = await queue(line, 1, [{ tenant: "ada", tokens: 100_000, truth: 10 }]);
    await run(line, before, { count: 1 });
    const next = await line.submit({ tenant: "ada" });
    await queue(line, 3, [{ tenant: "bob", tokens: 1_000, truth: 1_000 }]);

    const started = await line.startAll(2);

    expect(started).toContain(next);
    expect(Number(await redis.hget(line.turns, "late 2 ada"))).toBeLessThan(-99_000);
  });

  test("is charged at least what was shown, when its caller hangs up", async ({
    ingress,
    line,
    redis,
  }) => {
    const [job] = [...(await queue(line, 1, [{ tenant: "ada", tokens: 20, truth: 0 }])).keys()];
    if (job === undefined) throw new Error("no job was submitted");
    await line.start();
    await redis.hset(keys.entry(job), "next", 5_001);

    await ingress.cancel(await ingress.getJob("ada", job));

    const late = Number(await redis.hget(line.turns, "late 2 ada"));
    expect(late).toBeGreaterThan(4_970);
    expect(late).toBeLessThan(5_000);
  });

  test("leaves a job where it is that was handed back", async ({ line, redis }) => {
    const [first] = [...(await queue(line, 1, [{ tenant: "ada", truth: 5_000 }])).keys()];
    await line.start();
    const second = await line.submit({ tenant: "ada" });
    const other = await line.submit({ tenant: "bob", tokens: 500 });
    if (first === undefined) throw new Error("no job was submitted");
    // As a hand-back puts it: before all of its class.
    await redis.zadd(line.set, 2 * 2 ** 32, second);

    await line.end(first, 5_000);

    expect(await line.startAll(2)).toEqual([second, other]);
  });
});
