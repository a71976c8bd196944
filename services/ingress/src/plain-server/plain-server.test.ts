import { WorkerBroker } from "@headrace/broker";
import { describe, expect } from "vitest";

import { Ingress } from "../ingress.ts";
import type { Answer, TestClient } from "../testing/client.ts";
import { TestClient as Client } from "../testing/client.ts";
import { API_KEY, ingressTest as test, testConfig } from "../testing/ingress-test.ts";
import { MODEL, type SimulatedWorker } from "../testing/simulated-worker.ts";

const OTHER = "acme/other-model";

const delta = (text: string, finish_reason: string | null = null) =>
  ({ type: "delta", data: JSON.stringify([{ index: 0, text, finish_reason }]) }) as const;

/** Run the next job to its end, saying `Hello` in two pieces. @returns its request */
async function sayHello(worker: SimulatedWorker): Promise<object> {
  const run = await worker.next();
  run.write(delta("Hel"));
  run.write(delta("lo", "stop"));
  await run.complete();
  return run.attempt.spec;
}

/** Enter a second model that had a worker once. */
async function enterOther(redisUrl: string): Promise<void> {
  const broker = await WorkerBroker.open(
    {
      redisUrl,
      name: "other",
      engine: () => ({ kind: "vllm", version: null, silentMs: 0, error: null }),
      modelNames: [OTHER],
      model: { version: "v1", maxModelLength: 10 },
      hasTokenIds: true,
      report: () => {},
    },
    {
      whenFree: () => new Promise(() => {}),
      countFree: () => 0,
      start: () => false,
      onLockLost: () => {},
    },
    () => {},
  );
  await broker.close();
}

const generate = (client: TestClient, body: unknown): Promise<Answer> =>
  client.call("POST", "/generate", { body });

describe("POST /generate", () => {
  test("answers as the plain server does: text, tokens, times", async ({ client, worker }) => {
    const [answer, spec] = await Promise.all([
      generate(client, { prompt: "Say hello", max_tokens: 5, temperature: 0.2, top_p: 0.9 }),
      sayHello(worker),
    ]);

    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      text: "Hello",
      model: MODEL,
      finish_reason: null,
      prompt_tokens: 3,
      completion_tokens: 2,
      total_tokens: 5,
      ttft_seconds: expect.any(Number),
      tpot_seconds: expect.any(Number),
      total_seconds: expect.any(Number),
    });
    expect(answer.headers.get("x-process-time")).toMatch(/^\d+\.\d{6}$/);
    expect(Number(answer.headers.get("x-process-time"))).toBeGreaterThan(0);
    expect(answer.headers.get("x-headrace-job-id")).toMatch(/^job_/);
    expect(spec).toMatchObject({
      endpoint: "/v1/completions",
      priority: "interactive",
      request: { model: MODEL, prompt: "Say hello", max_tokens: 5, temperature: 0.2, top_p: 0.9 },
    });
  });

  test("leaves to the engine what is not said, and ignores what it does not know", async ({
    client,
    worker,
  }) => {
    const body = { prompt: "Hi", temperature: null, do_sample: true };
    const [, spec] = await Promise.all([generate(client, body), sayHello(worker)]);

    expect(Reflect.get(spec, "request")).toEqual({
      model: MODEL,
      prompt: "Hi",
      max_tokens: 256,
      stream: false,
    });
  });

  test("streams texts, and last what the whole answer has beside", async ({ client, worker }) => {
    const [reader] = await Promise.all([
      client.stream("POST", "/generate", { body: { prompt: "Hi", stream: true } }),
      sayHello(worker),
    ]);
    const events = (await reader.rest()).map(({ data }) => JSON.parse(data));

    expect(reader.response.headers.get("x-process-time")).toMatch(/^\d+\.\d{6}$/);
    expect(
      events
        .slice(0, -1)
        .map(({ text }) => text)
        .join(""),
    ).toBe("Hello");
    expect(events.at(-1)).toMatchObject({
      done: true,
      model: MODEL,
      completion_tokens: 2,
      ttft_seconds: expect.any(Number),
    });
  });

  test("tells a failed job as an error, before the first text or after", async ({
    client,
    worker,
  }) => {
    const error = { code: "engine_failed", message: "broke", type: "server_error", param: null };
    const [whole] = await Promise.all([
      generate(client, { prompt: "Hi" }),
      worker.next().then((run) => run.fail(error)),
    ]);
    const [reader] = await Promise.all([
      client.stream("POST", "/generate", { body: { prompt: "Hi", stream: true } }),
      worker.next().then((run) => {
        run.write(delta("Hel"));
        return run.fail(error);
      }),
    ]);
    const events = (await reader.rest()).map(({ data }) => JSON.parse(data));

    expect(whole.status).toBe(502);
    expect(whole.headers.get("x-should-retry")).toBe("false");
    expect(whole.body).toMatchObject({ error: { code: "engine_failed" } });
    expect(events).toMatchObject([{ text: "Hel" }, { error: { code: "engine_failed" } }]);
  });

  test("cancels the job of a caller that hangs up", async ({ client, worker }) => {
    const reader = await Promise.all([
      client.stream("POST", "/generate", { body: { prompt: "Hi", stream: true } }),
      worker.next().then((run) => {
        run.write(delta("Hel"));
        return run;
      }),
    ]).then(([stream, run]) => {
      stream.hangUp();
      return run;
    });

    await expect(reader.lost).resolves.toBe("cancelled");
  });

  test.for<[string, unknown, readonly (string | number)[], string, RegExp]>([
    ["no prompt", {}, ["body", "prompt"], "missing", /^Field required$/],
    ["an empty prompt", { prompt: "" }, ["body", "prompt"], "string_too_short", /at least 1/],
    ["a prompt of numbers", { prompt: 7 }, ["body", "prompt"], "string_type", /valid string/],
    [
      "no tokens",
      { prompt: "a", max_tokens: 0 },
      ["body", "max_tokens"],
      "greater_than_equal",
      /1$/,
    ],
    [
      "absurd tokens",
      { prompt: "a", max_tokens: 1e9 },
      ["body", "max_tokens"],
      "less_than_equal",
      /1048576$/,
    ],
    [
      "half a token",
      { prompt: "a", max_tokens: 1.5 },
      ["body", "max_tokens"],
      "int_from_float",
      /fractional/,
    ],
    [
      "tokens in words",
      { prompt: "a", max_tokens: "ten" },
      ["body", "max_tokens"],
      "float_type",
      /valid number/,
    ],
    [
      "great heat",
      { prompt: "a", temperature: 3 },
      ["body", "temperature"],
      "less_than_equal",
      /2$/,
    ],
    [
      "heat in words",
      { prompt: "a", temperature: "hot" },
      ["body", "temperature"],
      "float_type",
      /number/,
    ],
    ["a negative top_p", { prompt: "a", top_p: -1 }, ["body", "top_p"], "greater_than_equal", /0$/],
    ["a wrong stream", { prompt: "a", stream: "yes" }, ["body", "stream"], "bool_type", /boolean/],
    ["a wrong stop", { prompt: "a", stop: 7 }, ["body", "stop"], "value_error", /^Value error/],
    ["a list", [1], ["body"], "model_attributes_type", /dictionary/],
    ["no JSON", "{", ["body"], "json_invalid", /not valid JSON/],
  ])("answers 422 in FastAPI's shape for %s", async ([, body, loc, type, says], { client }) => {
    const answer = await generate(client, body);

    expect(answer.status).toBe(422);
    expect(answer.body).toEqual({ detail: [{ loc, type, msg: expect.stringMatching(says) }] });
    expect(answer.headers.get("x-process-time")).not.toBeNull();
  });

  test("names every field at fault", async ({ client }) => {
    const { body } = await generate(client, { max_tokens: 0, top_p: 2 });

    expect(body).toMatchObject({
      detail: [
        { loc: ["body", "prompt"] },
        { loc: ["body", "max_tokens"] },
        { loc: ["body", "top_p"] },
      ],
    });
  });

  test("keeps to the API's errors for keys, models and media types", async ({
    client,
    ingress,
  }) => {
    const stranger = new Client(ingress.port, "wrong");
    const answers = [
      await generate(stranger, { prompt: "Hi" }),
      await generate(client, { prompt: "Hi", model: "nobody" }),
      await client.call("POST", "/generate", {
        body: "prompt=Hi",
        headers: { "content-type": "application/x-www-form-urlencoded" },
      }),
    ];

    expect(answers.map(({ status }) => status)).toEqual([401, 404, 415]);
    expect(answers.map(({ body }) => Object(body["error"]).code)).toEqual([
      "api_key_invalid",
      "model_not_found",
      "media_type_unsupported",
    ]);
    for (const { headers } of answers) expect(headers.get("x-process-time")).not.toBeNull();
  });
});

describe("which model answers", () => {
  test("is to be said where several are served", async ({ client, redisServer, worker }) => {
    await enterOther(redisServer.url);
    await expect
      .poll(async () => (await client.call("GET", "/v1/models")).body["data"])
      .toHaveLength(2);
    const refused = await generate(client, { prompt: "Hi" });
    const [named] = await Promise.all([
      generate(client, { prompt: "Hi", model: MODEL }),
      sayHello(worker),
    ]);
    const health = await client.call("GET", "/health");
    const info = await client.call("GET", "/model/info");
    const other = await client.call("GET", `/model/info?model=${OTHER}`);

    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({
      detail: [{ loc: ["body", "model"], msg: expect.stringContaining("HEADRACE_DEFAULT_MODEL") }],
    });
    expect(named.body).toMatchObject({ text: "Hello", model: MODEL });
    expect(health.body).toEqual({ status: "healthy", model: null, model_loaded: false });
    expect(info.status).toBe(422);
    expect(info.body).toMatchObject({ detail: [{ loc: ["query", "model"] }] });
    expect(other.body).toMatchObject({ model_name: OTHER, loaded: false, workers: 0 });
  });

  test("is the operator's choice where there is one", async ({ redisServer, worker, logs }) => {
    await enterOther(redisServer.url);
    const config = { ...testConfig(redisServer.url, logs), defaultModel: MODEL };
    const ingress = await Ingress.start(config);
    const client = new Client(ingress.port, API_KEY);
    const [answer] = await Promise.all([generate(client, { prompt: "Hi" }), sayHello(worker)]);
    const health = await client.call("GET", "/health");
    await ingress.close();

    expect(answer.body).toMatchObject({ model: MODEL });
    expect(health.body).toEqual({ status: "healthy", model: MODEL, model_loaded: true });
  });

  test("is none before any was served", async ({ redisServer, redis, logs }) => {
    await redis.flushall();
    const ingress = await Ingress.start(testConfig(redisServer.url, logs));
    const client = new Client(ingress.port, API_KEY);
    const answer = await generate(client, { prompt: "Hi" });
    const health = await client.call("GET", "/health");
    await ingress.close();

    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({ error: { code: "model_not_found" } });
    expect(health.body).toEqual({ status: "healthy", model: null, model_loaded: false });
  });
});

test("GET /model/info tells what is known of the model", async ({ client }) => {
  const answer = await client.call("GET", "/model/info");
  const strange = await client.call("GET", "/model/info?modle=x");

  expect(answer.body).toEqual({
    model_name: MODEL,
    max_model_len: 4_096,
    loaded: true,
    workers: 1,
    engines: ["vllm 0.19.0"],
  });
  expect(answer.headers.get("x-process-time")).toMatch(/^\d+\.\d{6}$/);
  expect(strange.status).toBe(422);
  expect(strange.body).toMatchObject({ detail: [{ loc: ["query", "modle"] }] });
});

test("GET /health is open, and unhealthy while Redis is away", async ({ ingress, redisServer }) => {
  const look = async (): Promise<[number, unknown]> => {
    const response = await fetch(`http://127.0.0.1:${ingress.port}/health`);
    return [response.status, await response.json()];
  };
  const before = await look();
  await redisServer.kill();
  const without = await look();
  await redisServer.restart();

  expect(before).toEqual([200, { status: "healthy", model: MODEL, model_loaded: true }]);
  expect(without).toEqual([503, { status: "unhealthy", model: null, model_loaded: false }]);
});
