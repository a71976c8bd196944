import { setTimeout as delay } from "node:timers/promises";

import { describe, expect } from "vitest";

import type { TestClient, Answer } from "./testing/client.ts";
import { readMetric } from "./testing/exposition.ts";
import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";
import { makeKey } from "./testing/tenants.ts";

const CHAT = { model: MODEL, messages: [{ role: "user", content: "Hi" }], max_tokens: 95 };
/** A quarter of two bytes, rounded up; four of the message; and the output. */
const CHAT_TOKENS = 100;
const JOB = { endpoint: "/v1/chat/completions", request: CHAT };

const submit = (client: TestClient): Promise<Answer> =>
  client.call("POST", "/v1/jobs", { body: JOB });

function rateHeaders({ headers }: Answer): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => /ratelimit/.test(name)));
}

describe("a key's limits", () => {
  test("are told with every answer to a submit", async ({ client }) => {
    const limits = { requests_per_minute: 10, tokens_per_minute: 1_000 };
    const made = await makeKey(client, { limits });

    const { status, ...answer } = await submit(made.client);

    expect(status).toBe(202);
    expect(rateHeaders({ status, ...answer })).toEqual({
      "x-ratelimit-limit-requests": "10",
      "x-ratelimit-remaining-requests": "9",
      "x-ratelimit-reset-requests": "6s",
      "x-ratelimit-limit-tokens": "1000",
      "x-ratelimit-remaining-tokens": String(1_000 - CHAT_TOKENS),
      "x-ratelimit-reset-tokens": "6s",
      ratelimit: '"requests";r=9;t=6, "tokens";r=900;t=6',
      "ratelimit-policy": '"requests";q=10;w=60, "tokens";q=1000;qu="tokens";w=60',
    });
  });

  test("are told by a synchronous call, and by the head of its stream", async ({
    client,
    worker,
  }) => {
    const made = await makeKey(client, { limits: { requests_per_minute: 10 } });
    const body = { ...CHAT, stream: true };

    const answering = made.client.stream("POST", "/v1/chat/completions", { body });
    const run = await worker.next();
    run.say("Hello");
    const stream = await answering;
    await run.complete();
    const whole = made.client.call("POST", "/v1/chat/completions", { body: CHAT });
    await (await worker.next()).complete();

    expect(stream.response.headers.get("x-ratelimit-remaining-requests")).toBe("9");
    expect((await whole).headers.get("x-ratelimit-remaining-requests")).toBe("8");
  });

  test("refuse with 429 and when to come back; waiting so long succeeds", async ({
    client,
    ingress,
    redis,
  }) => {
    const made = await makeKey(client, { limits: { requests_per_minute: 60 } });
    let count = 0;
    let refused = await submit(made.client);
    for (; refused.status === 202; count += 1) refused = await submit(made.client);
    const waitMs = Number(refused.headers.get("retry-after-ms"));
    await delay(waitMs + 1);
    const accepted = await submit(made.client);

    expect(count).toBeGreaterThanOrEqual(60);
    expect(refused.status).toBe(429);
    expect(refused.body).toMatchObject({
      error: { code: "rate_limit_exceeded", type: "rate_limit_error", param: null },
    });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(1_000);
    expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
    expect(accepted.status).toBe(202);
    expect(await redis.zcard("hr:{t:default}:jobs")).toBe(count + 1);
    const series = 'headrace_refusals_total{reason="requests"}';
    expect(await readMetric(ingress, series)).toBe(1);
  });

  test("say that waiting does not help where it does not", async ({ client }) => {
    const large = await makeKey(client, { limits: { tokens_per_minute: CHAT_TOKENS - 1 } });
    const spent = await makeKey(client, { limits: { monthly_tokens: CHAT_TOKENS - 1 } });

    const answers = [await submit(large.client), await submit(spent.client)];

    expect(answers.map(({ status }) => status)).toEqual([429, 429]);
    expect(answers.map(({ body }) => body)).toMatchObject([
      { error: { code: "rate_limit_exceeded" } },
      { error: { code: "insufficient_quota", type: "insufficient_quota" } },
    ]);
    for (const { headers } of answers) {
      expect(headers.get("x-should-retry")).toBe("false");
      expect(headers.get("retry-after")).toBeNull();
    }
  });

  test("never ask to wait for more than a minute", async ({ client, worker }) => {
    const made = await makeKey(client, { limits: { tokens_per_minute: CHAT_TOKENS } });
    const usage = { prompt_tokens: 1_000, completion_tokens: 0, total_tokens: 1_000 };
    const call = made.client.call("POST", "/v1/chat/completions", { body: CHAT });
    await (await worker.next()).complete(usage);
    await call;

    await expect
      .poll(async () => (await submit(made.client)).headers.get("retry-after"))
      .toBe("60");
  });

  test("let a call in as soon as the one before has been answered", async ({ client, worker }) => {
    const made = await makeKey(client, { limits: { concurrent_jobs: 1 } });
    const call = (): Promise<Answer> =>
      made.client.call("POST", "/v1/chat/completions", { body: CHAT });
    const statuses: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const answering = call();
      const run = await worker.next();
      const refused = await call();
      await run.complete();
      statuses.push((await answering).status, refused.status);
    }

    // The first time a script is used it takes another round trip.
    expect(statuses.slice(2)).toEqual([200, 429, 200, 429, 200, 429, 200, 429]);
  });

  test("are told with what is read, which takes nothing of them", async ({ client }) => {
    const limits = { requests_per_minute: 10, tokens_per_minute: 1_000 };
    const made = await makeKey(client, { limits });
    const fresh = await made.client.call("GET", "/v1/models");
    await submit(made.client);

    const list = await made.client.call("GET", "/v1/jobs");
    const unknown = await made.client.call("GET", "/v1/jobs/job_nobody");

    expect(fresh.headers.get("x-ratelimit-remaining-requests")).toBe("10");
    expect(fresh.headers.get("x-ratelimit-reset-requests")).toBe("0ms");
    for (const { headers } of [list, unknown]) {
      expect(headers.get("x-ratelimit-remaining-requests")).toBe("9");
      expect(Number(headers.get("x-ratelimit-remaining-tokens"))).toBeGreaterThanOrEqual(900);
      expect(Number(headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(1_000);
    }
  });

  test("are told with a submit that is refused for what it says", async ({ client }) => {
    const limits = { requests_per_minute: 10, models: { [MODEL]: { requests_per_minute: 3 } } };
    const made = await makeKey(client, { limits });
    const free = await makeKey(client);
    const bad = [
      ["/v1/jobs", { endpoint: "/v1/chat/completions" }],
      ["/v1/chat/completions", { ...CHAT, model: "nobody/knows" }],
      ["/v1/responses", { model: MODEL }],
    ] as const;

    const call = (caller: TestClient): Promise<Answer[]> =>
      Promise.all(bad.map(([path, body]) => caller.call("POST", path, { body })));
    const accepted = await submit(made.client);
    const refused = await call(made.client);
    const ofFree = await call(free.client);

    expect(refused.map(({ status }) => status)).toEqual([400, 404, 400]);
    for (const { headers } of refused) {
      expect(headers.get("x-ratelimit-remaining-requests")).toBe("9");
      expect(headers.get("ratelimit-policy")).toBe('"requests";q=10;w=60');
    }
    // The same name stands for the same limit, whatever the answer.
    expect(accepted.headers.get("ratelimit-policy")).toBe(
      '"requests";q=10;w=60, "model-requests";q=3;w=60',
    );
    expect(ofFree.map(rateHeaders)).toEqual([{}, {}, {}]);
  });

  test("are told to no key that has none", async ({ client }) => {
    const made = await makeKey(client);

    expect(rateHeaders(await submit(made.client))).toEqual({});
  });
});
