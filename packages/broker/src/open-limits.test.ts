import { newJobId } from "@headrace/contract";
import { describe, expect } from "vitest";

import { giveBack } from "./hold.ts";
import { keys } from "./keys.ts";
import { brokerTest as test, MODEL, submission, TestReader } from "./test-bench.ts";
import { held, requestOf, trySubmit } from "./test-limited-key.ts";

describe("jobs open at once", () => {
  test("are refused beyond the limit, and let in once one has ended", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    const limits = { queued_jobs: 1 };

    await trySubmit(ingress, limits);
    const refused = await trySubmit(ingress, limits);
    const source = await worker.next();
    await worker.broker.finish(source, { status: "failed", outcome: {}, items: [] });
    await ingress.settleNow();
    const next = await trySubmit(ingress, limits);

    expect(refused.error).toMatchObject({ code: "job_limit_exceeded", status: 429 });
    expect(refused.error?.waitMs).toBeGreaterThan(0);
    expect(next.error).toBeNull();
    expect(await held(redis)).toBe(1);
  });

  test("that have a caller waiting are counted apart, and free their place at the end itself", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    const limits = { queued_jobs: 1, concurrent_jobs: 1, tokens_per_minute: 1_000 };
    const choices = { key: "k1", limits, request: requestOf(496) };
    const {
      idempotencyKey: _key,
      attachedTo: _nobody,
      ...call
    } = await submission(ingress, choices);
    const usage = { prompt_tokens: 4, completion_tokens: 6, total_tokens: 10 };
    const reader = new TestReader();
    // The first use of a script takes another round trip, in which the next call would come too early.
    const job = newJobId(call.model.code);
    await giveBack(redis, { job, tenant: "t", key: "k", kind: "now", tokens: 0, model: MODEL }, 0);

    await ingress.submitAndFollow(call, reader);
    await trySubmit(ingress, limits, { tokens: 400 });
    const second = ingress.submitAndFollow(call, new TestReader());
    await expect(second).rejects.toMatchObject({ code: "rate_limit_exceeded" });
    const source = await worker.next();
    await worker.broker.finish(source, { status: "completed", outcome: { usage }, items: [] });
    await reader.whenEnded();
    const { follower } = await ingress.submitAndFollow(call, new TestReader());
    follower.close();

    expect([await held(redis, "now"), await held(redis, "later")]).toEqual([1, 1]);
  });

  test("do not count a job that never came to be, or that Redis has lost", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const limits = { queued_jobs: 2, tokens_per_minute: 200 };
    const { id } = await trySubmit(ingress, limits);
    const { id: kept } = await trySubmit(ingress, limits);
    if (id === null || kept === null) throw new Error("refused");
    await redis.del(keys.entry(id));
    // As if all of them had been made a while ago.
    const list = keys.held("default", "k1", "later");
    for (const hold of await redis.zrange(list, "0", "-1")) await redis.zadd(list, 1, hold);

    await ingress.sweepNow();

    expect(await redis.zrange(list, "0", "-1")).toEqual([`${kept} 100 ${MODEL}`]);
    expect((await trySubmit(ingress, limits)).error).toBeNull();
  });
});

describe("a month's budget", () => {
  test("of tokens counts what was used and what is reserved", async ({ ingress, startWorker }) => {
    const worker = await startWorker();
    const limits = { monthly_tokens: 250 };

    await trySubmit(ingress, limits);
    await trySubmit(ingress, limits);
    const refused = await trySubmit(ingress, limits);
    const usage = { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 };
    const source = await worker.next();
    await worker.broker.finish(source, { status: "completed", outcome: { usage }, items: [] });
    await ingress.settleNow();
    const third = await trySubmit(ingress, limits);
    const fourth = await trySubmit(ingress, limits);

    expect(refused.error).toMatchObject({
      code: "insufficient_quota",
      status: 429,
      retryable: false,
      waitMs: null,
    });
    expect([third.error?.code, fourth.error?.code]).toEqual([undefined, "insufficient_quota"]);
  });

  test("of money is spent once it is", async ({ redisServer, openIngress, startWorker }) => {
    const worker = await startWorker();
    const ingress = await openIngress({ redisUrl: redisServer.url, gpuHourPrice: 3_600 });
    const limits = { monthly_cost: 1.5 };

    for (let job = 0; job < 2; job += 1) {
      expect((await trySubmit(ingress, limits)).error).toBeNull();
      const outcome = { gpu_ms: 1_000 };
      const source = await worker.next();
      await worker.broker.finish(source, { status: "completed", outcome, items: [] });
      await ingress.settleNow();
    }
    const refused = await trySubmit(ingress, limits);

    expect(refused.error?.code).toBe("insufficient_quota");
  });
});
