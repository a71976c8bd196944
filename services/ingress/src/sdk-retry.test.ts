import { describe, expect } from "vitest";

import { Ingress } from "./ingress.ts";
import { TestClient, type Answer } from "./testing/client.ts";
import { readMetric } from "./testing/exposition.ts";
import { API_KEY, ingressTest, testConfig } from "./testing/ingress-test.ts";
import { MODEL, type SimulatedRun } from "./testing/simulated-worker.ts";
import { makeKey } from "./testing/tenants.ts";

const CHAT = "/v1/chat/completions";
const CHAT_BODY = { model: MODEL, messages: [{ role: "user", content: "Hi" }], max_tokens: 10 };
const JOB_BODY = { endpoint: CHAT, request: CHAT_BODY };

const test = ingressTest.extend(
  "otherClient",
  async ({ redisServer, worker: _registered, logs }, { onCleanup }) => {
    const ingress = await Ingress.start(testConfig(redisServer.url, logs));
    onCleanup(() => ingress.close());
    return new TestClient(ingress.port, API_KEY);
  },
);

/** Headers of the SDK's so manieth try of a call. */
const tries = (count: number): Record<string, string> => ({
  "x-stainless-retry-count": String(count),
});

const post = (client: TestClient, path: string, body: object, count: number): Promise<Answer> =>
  client.call("POST", path, { body, headers: tries(count) });

/** Call, and hang up once told to. @returns what hangs up, and resolves once that is done */
function callUntilTold(client: TestClient, count: number): () => Promise<void> {
  const controller = new AbortController();
  const answering = fetch(`${client.base}${CHAT}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${API_KEY}`,
      "content-type": "application/json",
      ...tries(count),
    },
    body: JSON.stringify(CHAT_BODY),
    signal: controller.signal,
  });
  return async () => {
    controller.abort();
    await expect(answering).rejects.toMatchObject({ name: "AbortError" });
    // What comes later is answered later: by then it has seen the connection's end.
    await client.call("GET", "/healthz");
  };
}

/** Where the ledger keeps the job: the call that it lives as long as is numbered there. */
function entryOf({ attempt: { job } }: SimulatedRun): string {
  return `hr:{${job.split("_")[1]}}:job:${job}`;
}

function textOf({ body }: Answer): unknown {
  return Object(body["choices"])[0]?.message?.content;
}

async function complete(run: SimulatedRun, text: string): Promise<void> {
  run.say(text);
  await run.complete();
}

describe("a submit that the SDK repeats", () => {
  test("finds the job that it made", async ({ client }) => {
    const first = await post(client, "/v1/jobs", JOB_BODY, 0);
    const second = await post(client, "/v1/jobs", JOB_BODY, 1);
    const third = await post(client, "/v1/jobs", JOB_BODY, 2);
    const list = await client.call("GET", "/v1/jobs");

    expect([second.status, third.status]).toEqual([202, 202]);
    expect([second.body["id"], third.body["id"]]).toEqual([first.body["id"], first.body["id"]]);
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect(list.body["data"]).toHaveLength(1);
  });

  test("makes the job when it had not been made", async ({ client }) => {
    const second = await post(client, "/v1/jobs", JOB_BODY, 1);
    const third = await post(client, "/v1/jobs", JOB_BODY, 2);

    expect(second.status).toBe(202);
    expect(third.body["id"]).toBe(second.body["id"]);
  });

  test("finds a response too", async ({ client }) => {
    const body = { model: MODEL, input: "Hi", background: true };

    const first = await post(client, "/v1/responses", body, 0);
    const second = await post(client, "/v1/responses", body, 1);

    expect(first.body["id"]).toMatch(/^resp_/);
    expect(second.body["id"]).toBe(first.body["id"]);
  });

  test("is another job when it is made anew, says something else, or has another key", async ({
    client,
  }) => {
    const other = (await makeKey(client)).client;
    const answers = [
      await post(client, "/v1/jobs", JOB_BODY, 0),
      await post(client, "/v1/jobs", JOB_BODY, 0),
      await post(client, "/v1/jobs", { ...JOB_BODY, metadata: { a: "b" } }, 1),
      await post(other, "/v1/jobs", JOB_BODY, 1),
      await client.call("POST", "/v1/jobs", { body: JOB_BODY }),
      await client.call("POST", "/v1/jobs", {
        body: JOB_BODY,
        headers: { ...tries(1), "idempotency-key": "its own" },
      }),
    ];

    expect(new Set(answers.map(({ body }) => body["id"])).size).toBe(answers.length);
  });

  test("takes nothing of the key's limits", async ({ client }) => {
    const made = await makeKey(client, { limits: { requests_per_minute: 1 } });

    const first = await post(made.client, "/v1/jobs", JOB_BODY, 0);
    const second = await post(made.client, "/v1/jobs", JOB_BODY, 1);

    expect(second.body["id"]).toBe(first.body["id"]);
  });

  test("is not taken for an earlier one that said the same, when it was refused", async ({
    client,
  }) => {
    const limits = { queued_jobs: 1 };
    const made = await makeKey(client, { limits });
    await post(made.client, "/v1/jobs", JOB_BODY, 0);

    const refused = await post(made.client, "/v1/jobs", JOB_BODY, 0);
    const again = await post(made.client, "/v1/jobs", JOB_BODY, 1);

    expect([refused.status, again.status]).toEqual([429, 429]);
  });

  test.for(["", "-1", "1.5", "9999", "one"])(
    "counts for nothing with a count of '%s'",
    async (count, { client }) => {
      const headers = { "x-stainless-retry-count": count };

      const first = await client.call("POST", "/v1/jobs", { body: JOB_BODY, headers });
      const second = await client.call("POST", "/v1/jobs", { body: JOB_BODY, headers });

      expect([first.status, second.status]).toEqual([202, 202]);
      expect(second.body["id"]).not.toBe(first.body["id"]);
    },
  );
});

describe("a call that the SDK repeats", () => {
  test("is answered with the result that it came to", async ({ client, worker }) => {
    const first = post(client, CHAT, CHAT_BODY, 0);
    await complete(await worker.next(), "Hello");

    const [answer, again] = [await first, await post(client, CHAT, CHAT_BODY, 1)];

    expect(textOf(again)).toBe("Hello");
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(again.headers.get("x-headrace-job-id")).toBe(answer.headers.get("x-headrace-job-id"));
    expect(again.body).toEqual(answer.body);
  });

  test("follows the job from its start, and keeps it when the first call is gone", async ({
    client,
    ingress,
    redis,
    worker,
  }) => {
    const hangUp = callUntilTold(client, 0);
    const run = await worker.next();
    run.say("Hel");
    const again = post(client, CHAT, CHAT_BODY, 1);
    await expect.poll(() => redis.hget(entryOf(run), "attached")).toMatch(/ 2$/);
    await hangUp();
    // The first call is over only when it has done what it does about its job.
    await expect.poll(() => readMetric(ingress, "llm_active_requests")).toBe(1);
    await complete(run, "lo");

    expect(textOf(await again)).toBe("Hello");
  });

  test("keeps the job when it comes to another ingress", async ({
    client,
    otherClient,
    worker,
    redis,
  }) => {
    const hangUp = callUntilTold(client, 0);
    const run = await worker.next();
    const before = await redis.hget(entryOf(run), "attached");
    const again = post(otherClient, CHAT, CHAT_BODY, 1);
    await expect.poll(() => redis.hget(entryOf(run), "attached")).not.toBe(before);
    await hangUp();
    await complete(run, "Hello");

    expect(textOf(await again)).toBe("Hello");
  });

  test("is made anew when the first was cancelled, since its caller hung up", async ({
    client,
    worker,
  }) => {
    const hangUp = callUntilTold(client, 0);
    const run = await worker.next();
    await hangUp();
    await expect(run.lost).resolves.toBeDefined();
    const again = post(client, CHAT, CHAT_BODY, 1);
    const anew = await worker.next();
    await complete(anew, "Hello");

    expect(anew.attempt.job).not.toBe(run.attempt.job);
    expect(textOf(await again)).toBe("Hello");
  });

  test("is made anew when the first failed", async ({ client, worker }) => {
    const first = post(client, CHAT, CHAT_BODY, 0);
    await (
      await worker.next()
    ).fail({
      message: "broken",
      type: "server_error",
      param: null,
      code: "engine_failed",
    });
    await first;
    const again = post(client, CHAT, CHAT_BODY, 1);
    await complete(await worker.next(), "Hello");

    expect(textOf(await again)).toBe("Hello");
  });

  test("is cancelled when its own caller hangs up", async ({ client, redis, worker }) => {
    const hangUpFirst = callUntilTold(client, 0);
    const run = await worker.next();
    const hangUpSecond = callUntilTold(client, 1);
    await expect.poll(() => redis.hget(entryOf(run), "attached")).toMatch(/ 2$/);
    await hangUpFirst();
    await hangUpSecond();

    await expect(run.lost).resolves.toBeDefined();
  });
});
