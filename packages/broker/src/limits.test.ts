import { setTimeout as delay } from "node:timers/promises";

import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, MODEL } from "./test-bench.ts";
import { held, trySubmit } from "./test-limited-key.ts";

/** A job may wait for its start for a week, and has to run. */
const LONGEST_JOB_MS = 8 * 24 * 3_600_000;
/** Longer than a slow machine takes from one submit to the next. */
const SURE_MS = 400;

describe("requests a minute", () => {
  test("are let in up to the limit, then refused until the truth of retry-after", async ({
    ingress,
    startWorker,
  }) => {
    await startWorker();
    // One is back each second.
    const limits = { requests_per_minute: 60 };
    let count = 0;
    let waitMs = 0;
    while (waitMs < SURE_MS) {
      const { error } = await trySubmit(ingress, limits);
      if (error === null) count += 1;
      waitMs = error?.waitMs ?? 0;
    }

    await delay(waitMs - SURE_MS / 2);
    const early = await trySubmit(ingress, limits);
    await delay((early.error?.waitMs ?? 0) + 1);
    const inTime = await trySubmit(ingress, limits);

    expect(count).toBeGreaterThanOrEqual(60);
    expect(waitMs).toBeLessThanOrEqual(1_000);
    expect(early.error).toMatchObject({ code: "rate_limit_exceeded", status: 429 });
    expect(early.error?.waitMs).toBeLessThanOrEqual(SURE_MS / 2);
    expect(inTime.error).toBeNull();
  });

  test("tell what is left, and when all of it is back", async ({ ingress, startWorker }) => {
    await startWorker();
    const limits = { requests_per_minute: 10 };

    const first = await trySubmit(ingress, limits);
    const second = await trySubmit(ingress, limits);

    expect(first.allowance?.requests).toEqual({ limit: 10, remaining: 9, resetMs: 6_000 });
    expect(second.allowance?.requests).toMatchObject({ limit: 10, remaining: 8 });
    expect(second.allowance?.requests?.resetMs).toBeGreaterThan(11_000);
    expect(second.allowance?.tokens).toBeNull();
  });

  test("of one model are refused while those of another are let in", async ({
    ingress,
    startWorker,
  }) => {
    await startWorker();
    const ofModel = { requests_per_minute: 100, models: { [MODEL]: { requests_per_minute: 1 } } };
    const ofOther = { requests_per_minute: 100, models: { other: { requests_per_minute: 1 } } };

    const first = await trySubmit(ingress, ofModel);
    const second = await trySubmit(ingress, ofModel);
    const third = await trySubmit(ingress, ofOther);

    expect([first.error, third.error]).toEqual([null, null]);
    expect(second.error?.code).toBe("rate_limit_exceeded");
    expect(first.allowance).toMatchObject({
      requests: { limit: 100, remaining: 99 },
      ofModel: { requests: { limit: 1, remaining: 0 }, tokens: null },
    });
    expect(third.allowance).toMatchObject({
      requests: { limit: 100, remaining: 98 },
      ofModel: { requests: null, tokens: null },
    });
  });

  test("are counted by key", async ({ ingress, startWorker }) => {
    await startWorker();
    const limits = { requests_per_minute: 1 };

    await trySubmit(ingress, limits);
    const other = await trySubmit(ingress, limits, { key: "k2" });

    expect(other.error).toBeNull();
  });

  test("are not taken by a request that another limit refuses", async ({
    ingress,
    startWorker,
  }) => {
    await startWorker();
    const limits = { requests_per_minute: 2, tokens_per_minute: 150 };

    await trySubmit(ingress, limits);
    const refused = await trySubmit(ingress, limits);
    const small = await trySubmit(ingress, limits, { tokens: 10 });

    expect(refused.error?.message).toMatch(/reserves 100 tokens/);
    expect(refused.allowance?.requests?.remaining).toBe(1);
    expect(small.error).toBeNull();
  });
});

describe("submits at once through two ingresses", () => {
  test("are let in as many as the limits allow, and not one more", async ({
    ingress,
    openIngress,
    redis,
    redisServer,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const other = await openIngress({ redisUrl: redisServer.url });
    // Tokens for twenty, places for thirty; by the minute next to nothing comes back meanwhile.
    const limits = { tokens_per_minute: 2_000, queued_jobs: 30, requests_per_minute: 1_000 };

    const tries = await Promise.all(
      Array.from({ length: 120 }, (_try, at) => trySubmit(at % 2 ? ingress : other, limits)),
    );
    const accepted = tries.filter(({ id }) => id !== null).length;

    // A slow machine takes a second, in which a job's worth of tokens may come back.
    expect(accepted).toBeGreaterThanOrEqual(20);
    expect(accepted).toBeLessThanOrEqual(21);
    expect(await held(redis)).toBe(accepted);
    expect(await redis.zcard(keys.jobs("default"))).toBe(accepted);
    expect(await redis.hget(keys.owed("default"), "k1")).toBe(String(accepted * 100));
  });
});

describe("tokens a minute", () => {
  test("are reserved at accept, and what was not used is given back at the end", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    const limits = { tokens_per_minute: 1_000 };

    const first = await trySubmit(ingress, limits, { tokens: 900 });
    const refused = await trySubmit(ingress, limits, { tokens: 900 });
    const usage = { prompt_tokens: 4, completion_tokens: 46, total_tokens: 50 };
    const source = await worker.next();
    await worker.broker.finish(source, { status: "completed", outcome: { usage }, items: [] });
    await ingress.settleNow();
    const second = await trySubmit(ingress, limits, { tokens: 900 });

    expect(first.allowance?.tokens).toMatchObject({ limit: 1_000, remaining: 100 });
    expect(refused.error?.code).toBe("rate_limit_exceeded");
    expect(second.error).toBeNull();
    // A minute's worth, without the fifty that were used and the nine hundred that now are reserved.
    expect(second.allowance?.tokens?.remaining).toBeGreaterThanOrEqual(50);
    expect(second.allowance?.tokens?.remaining).toBeLessThan(90);
    expect(await redis.hget(keys.owed("default"), "k1")).toBe("900");
  });

  test("that were used beyond what was reserved are taken too", async ({
    ingress,
    startWorker,
  }) => {
    const worker = await startWorker();
    const limits = { tokens_per_minute: 1_000 };

    await trySubmit(ingress, limits, { tokens: 100 });
    const usage = { prompt_tokens: 1_900, completion_tokens: 100, total_tokens: 2_000 };
    const source = await worker.next();
    await worker.broker.finish(source, { status: "completed", outcome: { usage }, items: [] });
    await ingress.settleNow();
    const refused = await trySubmit(ingress, limits, { tokens: 100 });

    expect(refused.allowance?.tokens?.remaining).toBe(0);
    // A thousand is owed, and a hundred asked for: sixty-six seconds at a thousand a minute.
    expect(refused.error?.waitMs).toBeGreaterThan(64_000);
    expect(refused.error?.waitMs).toBeLessThanOrEqual(66_000);
  });

  test("that were used beyond what was reserved are taken however long the job took", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    const limits = { tokens_per_minute: 1_000 };
    await trySubmit(ingress, limits, { tokens: 100 });
    const bucket = keys.buckets("default", "k1");
    // The minute after which all of it has come back is over.
    const keptMs = await redis.pttl(bucket);
    const longAgo = Date.now() - 3_600_000;
    await redis.hset(bucket, "tokens", `900 ${longAgo} 1000`);

    const usage = { prompt_tokens: 1_900, completion_tokens: 100, total_tokens: 2_000 };
    const source = await worker.next();
    await worker.broker.finish(source, { status: "completed", outcome: { usage }, items: [] });
    await ingress.settleNow();
    const refused = await trySubmit(ingress, limits, { tokens: 200 });

    expect(keptMs).toBeGreaterThan(LONGEST_JOB_MS);
    expect(refused.error?.code).toBe("rate_limit_exceeded");
    expect(refused.allowance?.tokens?.remaining).toBe(0);
  });

  test("that are more than the limit are never let in, and it says so", async ({
    ingress,
    startWorker,
  }) => {
    await startWorker();

    const refused = await trySubmit(ingress, { tokens_per_minute: 99 });

    expect(refused.error).toMatchObject({ code: "rate_limit_exceeded", waitMs: null });
    expect(refused.error?.message).toContain("lower max_tokens");
  });

  test("are given back when the job is cancelled before it starts", async ({
    ingress,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const limits = { tokens_per_minute: 100 };

    const { id } = await trySubmit(ingress, limits);
    if (id === null) throw new Error("refused");
    await ingress.cancel(await ingress.getJob("default", id));
    await ingress.settleNow();

    expect((await trySubmit(ingress, limits)).error).toBeNull();
  });

  test("are given back once, however often the end is settled", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const limits = { tokens_per_minute: 1_000 };
    const { id } = await trySubmit(ingress, limits, { tokens: 600 });
    await trySubmit(ingress, limits, { tokens: 400 });
    if (id === null) throw new Error("refused");
    await ingress.cancel(await ingress.getJob("default", id));
    const outbox = keys.outbox((await ingress.getModel(MODEL)).code);
    const [entry] = await redis.xrange(outbox, "-", "+");
    await ingress.settleNow();

    // The same job again, at a place that the tenant's slot has not counted.
    await redis.xadd(outbox, "*", ...(entry?.[1] ?? []));
    await ingress.settleNow();

    const { error, allowance } = await trySubmit(ingress, limits, { tokens: 700 });
    expect(error?.code).toBe("rate_limit_exceeded");
    expect(allowance?.tokens?.remaining).toBeLessThan(650);
    expect(await redis.hget(keys.owed("default"), "k1")).toBe("400");
  });
});

describe("requests from one address", () => {
  test("are refused beyond the limit, whatever key they come with", async ({
    redisServer,
    startWorker,
    openIngress,
  }) => {
    await startWorker();
    const ingress = await openIngress({ redisUrl: redisServer.url, addressLimit: 2 });

    await trySubmit(ingress, {}, { key: "k1" });
    await trySubmit(ingress, {}, { key: "k2" });
    const third = await trySubmit(ingress, {}, { key: "k3" });
    const elsewhere = await trySubmit(ingress, {}, { key: "k3", address: "192.0.2.2" });

    expect(third.error).toMatchObject({ code: "rate_limit_exceeded" });
    expect(third.error?.message).toContain("your address may make 2 requests a minute");
    expect(elsewhere.error).toBeNull();
  });
});

describe("a repeated Idempotency-Key", () => {
  test("finds its job and takes nothing, also beyond the limits", async ({
    ingress,
    startWorker,
  }) => {
    await startWorker();
    const limits = { requests_per_minute: 1, queued_jobs: 1 };

    const first = await trySubmit(ingress, limits, { idempotencyKey: "once" });
    const again = await trySubmit(ingress, limits, { idempotencyKey: "once" });
    const other = await trySubmit(ingress, limits, { idempotencyKey: "other" });

    expect(again).toMatchObject({ id: first.id, error: null });
    expect(again.allowance?.requests?.remaining).toBe(0);
    expect(other.error?.code).toBe("rate_limit_exceeded");
  });
});

describe("a key without limits", () => {
  test("leaves nothing to be given back", async ({ redis, startWorker, submit }) => {
    await startWorker();

    await submit({ key: "k1" });

    const names = (await redis.keys("hr:{t:default}:*")).map((key) => key.split("}:")[1]);
    expect(names).toEqual(["jobs"]);
  });
});
