import type { JobId, KeyLimits } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect, vi } from "vitest";

import type { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { brokerTest, MODEL, submission, type TestWorker } from "./test-bench.ts";

/** A chat of one message without a text: four tokens by estimate. */
const CHAT = { model: MODEL, messages: [{ role: "user", content: "" }] };
const PROMPT_TOKENS = 4;
const LIMITS: KeyLimits = { tokens_per_minute: 1_000_000 };

const test = brokerTest.extend("worker", async ({ startWorker }) => startWorker());

/** Run a chat to its end. */
async function runOne(
  { ingress, worker }: { readonly ingress: IngressBroker; readonly worker: TestWorker },
  completionTokens: number,
  asks: Record<string, unknown> = {},
): Promise<void> {
  await ingress.submit(await submission(ingress, { request: { ...CHAT, ...asks } }));
  const usage = { prompt_tokens: 10, completion_tokens: completionTokens, total_tokens: 0 };
  const source = await worker.next();
  await worker.broker.finish(source, { status: "completed", outcome: { usage }, items: [] });
  await ingress.settleNow();
}

/** What is reserved for the output of the next chat, once its ingress has learned what it can. */
async function reservedNext(
  ingress: IngressBroker,
  redis: Redis,
  { limits = LIMITS, ...asks }: { limits?: KeyLimits; [field: string]: unknown } = {},
): Promise<number> {
  const request = { ...CHAT, ...asks };
  const { id } = await ingress.submit(await submission(ingress, { request, limits, key: "k1" }));
  return (await readHold(redis, id)) - PROMPT_TOKENS;
}

async function readHold(redis: Redis, job: JobId): Promise<number> {
  const holds = await redis.zrange(keys.held("default", "k1", "later"), "0", "-1");
  const own = holds.find((hold) => hold.startsWith(`${job} `));
  return Number(own?.split(" ")[1]);
}

async function whenLearned(ingress: IngressBroker, tokens: number): Promise<void> {
  await vi.waitUntil(async () => (await ingress.getModel(MODEL)).typicalOutput === tokens, {
    timeout: 3_000,
  });
}

describe("a chat that sets no bound to its output", () => {
  test("reserves and is charged what such chats took, not more than the model's length", async ({
    ingress,
    redis,
    worker,
  }) => {
    const first = await reservedNext(ingress, redis);
    await worker.next();
    await runOne({ ingress, worker }, 2_000);
    await runOne({ ingress, worker }, 3_000);
    await runOne({ ingress, worker }, 9, { max_tokens: 9 });
    await runOne({ ingress, worker }, 9, { n: 2 });
    await whenLearned(ingress, 2_500);
    const second = await reservedNext(ingress, redis);
    const { id } = await ingress.submit(await submission(ingress, { request: CHAT }));
    const charged = (await redis.hget(keys.entry(id), "turn"))?.split(" ")[3];
    for (let count = 0; count < 3; count += 1) await runOne({ ingress, worker }, 40_000);
    await whenLearned(ingress, 25_000);

    expect(first).toBe(1_024);
    expect(second).toBe(2_500);
    expect(charged).toBe(String(2_500 + PROMPT_TOKENS / 2));
    expect(await reservedNext(ingress, redis)).toBe(4_096 - PROMPT_TOKENS);
    expect(await reservedNext(ingress, redis, { max_tokens: 50 })).toBe(50);
  });

  test("is let in where its key may use less than that in a minute", async ({
    ingress,
    redis,
    worker,
  }) => {
    await runOne({ ingress, worker }, 3_000);
    await whenLearned(ingress, 3_000);

    const limits = { tokens_per_minute: 500 };
    expect(await reservedNext(ingress, redis, { limits })).toBe(500 - PROMPT_TOKENS);
  });

  test("gives all back that was reserved, whatever is typical when its call comes again", async ({
    ingress,
    redis,
    worker,
  }) => {
    const choices = { request: CHAT, limits: LIMITS, key: "k1", idempotencyKey: "once" };
    const asked = await submission(ingress, choices);
    const first = await ingress.submit(asked);
    const record = keys.once("default", "once");
    // As if the ingress had died between booking and accept.
    await redis.del(keys.entry(first.id));
    await redis.zadd(keys.reserved("default"), Date.now() + 60_000, `${first.id} ${record}`);
    const later = { ...asked, model: { ...asked.model, typicalOutput: 3_000 } };

    const second = await ingress.submit(later);
    const source = await worker.next();
    await worker.broker.finish(source, { status: "completed", outcome: {}, items: [] });
    await ingress.settleNow();

    expect(second).toMatchObject({ id: first.id, isNew: false });
    expect(await redis.zcard(keys.held("default", "k1", "later"))).toBe(0);
    expect(Number(await redis.hget(keys.owed("default"), "k1"))).toBe(0);
  });
});
