import { modelCodeOf, PRIORITIES, type JobId } from "@headrace/contract";
import * as fc from "fast-check";
import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { lineTest as test, type Line, type Wish } from "./test-line.ts";
import { TurnModel } from "./test-turn-model.ts";

const TENANTS = ["ada", "bob", "cy"] as const;
/** What the class is ahead of a priority's number in a score. */
const BAND = 2 ** 32;

const LONG_AGO_MS = Date.now() - 3_600_000;

const wish = fc.record({
  tenant: fc.constantFrom(...TENANTS),
  priority: fc.constantFrom(...PRIORITIES),
  weight: fc.constantFrom(0.5, 1, 2, 10),
  tokens: fc.integer({ min: 1, max: 2_000 }),
});
const action = fc.oneof(
  { weight: 5, arbitrary: wish.map((job) => ({ kind: "submit", job }) as const) },
  { weight: 3, arbitrary: fc.constant({ kind: "start" } as const) },
  { weight: 1, arbitrary: fc.nat(60).map((which) => ({ kind: "cancel", which }) as const) },
);
type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never;

/** Submit so many jobs of each, in turns. @returns whose each job is */
async function fill(
  line: Line,
  count: number,
  wishes: readonly Wish[],
): Promise<Map<JobId, string>> {
  const owners = new Map<JobId, string>();
  for (let round = 0; round < count; round += 1) {
    for (const job of wishes) owners.set(await line.submit(job), job.tenant);
  }
  return owners;
}

function countOf(tenant: string, started: readonly JobId[], owners: Map<JobId, string>): number {
  return started.filter((job) => owners.get(job) === tenant).length;
}

describe("the order of jobs", () => {
  test(
    "is that of the model, whatever is submitted, started and cancelled",
    { timeout: 60_000 },
    async ({ line }) => {
      const property = fc.asyncProperty(
        fc.array(action, { minLength: 20, maxLength: 150 }),
        async (actions) => {
          await line.clear();
          const model = new TurnModel();
          const jobs: { readonly id: JobId; readonly tenant: string }[] = [];
          const carryOut = async (next: Action): Promise<void> => {
            if (next.kind === "submit") {
              const id = await line.submit(next.job);
              const { tokens, tenant } = next.job;
              model.submit(id, next.job, line.costOf(tokens));
              jobs.push({ id, tenant });
            } else if (next.kind === "start") {
              expect(await line.start()).toBe(model.start());
            } else {
              const job = jobs[next.which];
              if (job === undefined) return;
              await line.cancel(job.tenant, job.id);
              model.cancel(job.id);
            }
          };

          for (const next of actions) await carryOut(next);

          for (let next = await line.start(); next !== null; next = await line.start()) {
            expect(next).toBe(model.start());
          }
          expect(model.start()).toBeNull();
        },
      );
      await fc.assert(property, { numRuns: 80 });
    },
  );

  test("gives a tenant with twice the weight two jobs for each of the other's", async ({
    line,
  }) => {
    const owners = await fill(line, 90, [{ tenant: "ada", weight: 2 }, { tenant: "bob" }]);

    const started = await line.startAll(90);

    for (let count = 3; count <= 90; count += 1) {
      const share = countOf("ada", started.slice(0, count), owners);
      expect(Math.abs(share - (count * 2) / 3)).toBeLessThanOrEqual(1.5);
    }
  });

  test("gives tenants with long and with short jobs the same number of tokens", async ({
    line,
  }) => {
    const owners = await fill(line, 80, [
      { tenant: "ada", tokens: 1_000 },
      { tenant: "bob", tokens: 100 },
    ]);

    const started = await line.startAll(60);

    const ada = countOf("ada", started, owners) * line.costOf(1_000);
    const bob = countOf("bob", started, owners) * line.costOf(100);
    expect(Math.abs(ada - bob)).toBeLessThanOrEqual(line.costOf(1_000));
  });

  test("lets a tenant that comes after a flood start at once", async ({ line }) => {
    await Promise.all(Array.from({ length: 500 }, () => line.submit({ tenant: "ada" })));
    await line.startAll(100);

    const job = await line.submit({ tenant: "bob" });

    const started = await line.startAll(2);
    expect(started).toContain(job);
  });

  test("keeps a tenant's own jobs in the order they came in", async ({ line }) => {
    const owners = await fill(line, 50, [
      { tenant: "ada", tokens: 1, weight: 100 },
      { tenant: "bob" },
    ]);

    const started = await line.startAll();

    for (const tenant of ["ada", "bob"]) {
      const own = [...owners.keys()].filter((job) => owners.get(job) === tenant);
      expect(started.filter((job) => owners.get(job) === tenant)).toEqual(own);
    }
  });

  test("does not hold against a tenant what it used while nobody else waited", async ({ line }) => {
    for (let count = 0; count < 50; count += 1) {
      await line.submit({ tenant: "ada" });
      await line.start();
    }
    const owners = await fill(line, 20, [{ tenant: "ada" }, { tenant: "bob" }]);

    const started = await line.startAll(20);

    expect(countOf("ada", started, owners)).toBeGreaterThanOrEqual(9);
  });

  test("does not charge a tenant for what it cancels", async ({ line }) => {
    for (let count = 0; count < 5; count += 1) await line.submit({ tenant: "bob" });
    const flood = await Promise.all(
      Array.from({ length: 100 }, () => line.submit({ tenant: "ada" })),
    );
    for (const job of flood) await line.cancel("ada", job);

    const job = await line.submit({ tenant: "ada" });

    expect(await line.startAll(2)).toContain(job);
  });
});

describe("a lower class", () => {
  const classes = [
    ["standard", 0.2],
    ["batch", 0.05],
  ] as const;

  test.for(classes)(
    "gets its share of starts while a higher one floods: %s",
    async ([priority, share], { line }) => {
      const owners = await fill(line, 120, [
        { tenant: "ada", priority: "interactive" },
        { tenant: "bob", priority },
      ]);

      const started = await line.startAll(120);

      for (let from = 0; from + 1 / share <= 100; from += 1) {
        const some = started.slice(from, from + 1 / share + 1);
        expect(countOf("bob", some, owners)).toBeGreaterThanOrEqual(1);
      }
      expect(countOf("bob", started, owners)).toBeLessThanOrEqual(Math.ceil(120 * share) + 1);
    },
  );

  test("goes first of nothing while it gets its share anyway", async ({ line }) => {
    await fill(line, 10, [{ tenant: "bob", priority: "batch" }]);
    await line.startAll(5);

    const job = await line.submit({ tenant: "ada", priority: "interactive" });

    expect(await line.start()).toBe(job);
  });
});

describe("virtual time", () => {
  test("keeps a class before the next when its numbers come to their end", async ({
    line,
    redis,
  }) => {
    await line.submit({ tenant: "ada" });
    await redis.hset(line.turns, "v2", String(2 ** 50));
    const batch = await line.submit({ tenant: "bob", priority: "batch" });

    const standard = await line.submit({ tenant: "cy" });

    const order = await redis.zrange(line.set, "0", "-1");
    expect(order.indexOf(standard)).toBe(1);
    expect(order.indexOf(batch)).toBe(2);
  });

  test("starts anew once a queue has been empty for a minute", async ({ line, redis }) => {
    await fill(line, 5, [{ tenant: "ada" }]);
    await line.startAll();
    await redis.hset(line.turns, "accepted_at", LONG_AGO_MS);

    const job = await line.submit({ tenant: "ada" });

    expect(Number(await redis.zscore(line.set, job))).toBe(2 * BAND + 1 / 131_072);
    expect(await redis.hlen(line.turns)).toBe(3);
  });

  test("goes on while a job waits, however long nothing comes", async ({ line, redis }) => {
    await fill(line, 5, [{ tenant: "ada" }]);
    await line.startAll(4);
    await redis.hset(line.turns, "accepted_at", LONG_AGO_MS);

    await line.submit({ tenant: "ada" });

    expect(Number(await redis.hget(line.turns, "v2"))).toBeGreaterThan(1);
  });

  test("starts anew at the first empty moment once it has come far", async ({ line, redis }) => {
    await line.submit({ tenant: "ada" });
    await line.startAll();
    await redis.hset(line.turns, "v2", 2 ** 48 + 1);

    const job = await line.submit({ tenant: "ada" });

    expect(Number(await redis.zscore(line.set, job))).toBe(2 * BAND + 1 / 131_072);
  });

  test("is not moved by a job from before it started anew", async ({ line, redis }) => {
    const old = await line.submit({ tenant: "ada" });
    await redis.hset(keys.entry(old), "turn", "2 999999 100 100 ada");
    await redis.hset(line.turns, "began", Date.now() + 60_000);
    await line.start();

    expect(await redis.hget(line.turns, "v2")).toBeNull();
  });

  test("keeps tokens apart up to the end of what a score can hold", () => {
    const far = 3 * BAND + 2 ** 49 / 131_072 - 1;

    expect(far + 0.25 / 131_072).toBeGreaterThan(far);
    expect(far).toBeLessThan(4 * BAND);
  });

  test("keeps no lane of a tenant whose jobs have all started", async ({ line, redis }) => {
    for (let tenant = 0; tenant < 400; tenant += 1) {
      await line.submit({ tenant: `t${tenant}` });
      await line.start();
      await line.submit({ tenant: "ada" });
      await line.start();
    }

    expect(await redis.hlen(line.turns)).toBeLessThanOrEqual(200);
  });
});

describe("a place in the queue", () => {
  test("is mended by the sweep where BullMQ alone has placed the job", async ({
    line,
    redis,
    ingress,
  }) => {
    await fill(line, 3, [{ tenant: "ada" }]);
    const job = await line.submit({ tenant: "bob" });
    const place = await redis.zscore(line.set, job);
    await redis.zadd(line.set, 2 * BAND + 77, job);
    await redis.hset(line.turns, "began", 1);
    await redis.zadd(keys.open(modelCodeOf(job)), 2, job);

    await ingress.sweepNow();

    expect(await redis.zscore(line.set, job)).toBe(place);
  });

  test("is the first of its class for a job that was handed back", async ({
    line,
    redis,
    ingress,
  }) => {
    await fill(line, 3, [{ tenant: "ada" }]);
    const job = await line.submit({ tenant: "ada" });
    await redis.zadd(line.set, 2 * BAND, job);
    await redis.hset(line.turns, "began", 1);
    await redis.zadd(keys.open(modelCodeOf(job)), 2, job);

    await ingress.sweepNow();

    expect(await line.start()).toBe(job);
  });

  test("is told as it will be", async ({ line, ingress }) => {
    await fill(line, 10, [{ tenant: "ada" }]);
    await line.startAll(1);
    await line.submit({ tenant: "cy", priority: "batch" });

    const job = await line.submit({ tenant: "bob" });
    const { ahead } = await ingress.getStanding(await ingress.getJob("bob", job));

    const started = await line.startAll();
    expect(started.indexOf(job)).toBe(ahead);
    expect(ahead).toBeLessThanOrEqual(1);
  });
});
