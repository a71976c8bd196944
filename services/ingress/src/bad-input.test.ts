import { gzipSync } from "node:zlib";

import { describe, expect } from "vitest";

import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const messages = [{ role: "user", content: "CANARY" }];
const chat = { model: MODEL, messages };
const nested = `${"[".repeat(70)}${"]".repeat(70)}`;

const wide = `${'"":1,'.repeat(100_000)}"":1`;

/** Bodies of one of the engine's endpoints, with the field at fault and what is said of it. */
const REQUESTS: readonly (readonly [string, string, object, string, RegExp])[] = [
  ["a missing model", "chat/completions", { messages }, "model", /required/],
  ["an empty model", "chat/completions", { ...chat, model: "" }, "model", /at least 1/],
  ["a model of a wrong type", "chat/completions", { ...chat, model: 7 }, "model", /found number/],
  ["no messages", "chat/completions", { model: MODEL }, "messages", /required/],
  ["empty messages", "chat/completions", { ...chat, messages: [] }, "messages", /found 0/],
  [
    "a message without a role",
    "chat/completions",
    { ...chat, messages: [{ role: "user", content: "a" }, { content: "b" }] },
    "messages[1].role",
    /required/,
  ],
  [
    "content of a wrong type",
    "chat/completions",
    { ...chat, messages: [{ role: "user", content: 5 }] },
    "messages[0].content",
    /expected string or array, found number/,
  ],
  ["an absurd n", "chat/completions", { ...chat, n: 1_000 }, "n", /at most 16, found 1000/],
  ["a negative n", "chat/completions", { ...chat, n: -1 }, "n", /at least 1, found -1/],
  ["an absurd max_tokens", "chat/completions", { ...chat, max_tokens: 1e9 }, "max_tokens", /most/],
  [
    "whom the engine is to connect to",
    "chat/completions",
    { ...chat, kv_transfer_params: { remote_host: "10.0.0.1" } },
    "kv_transfer_params",
    /expected null/,
  ],
  ["absurd logprobs", "chat/completions", { ...chat, top_logprobs: 99 }, "top_logprobs", /most 20/],
  [
    "a fractional seed",
    "chat/completions",
    { ...chat, seed: 1.5 },
    "seed",
    /int, found number 1.5/,
  ],
  ["too many stops", "chat/completions", { ...chat, stop: Array(17).fill("x") }, "stop", /most 16/],
  ["a wrong stream", "chat/completions", { ...chat, stream: "yes" }, "stream", /boolean/],
  ["a list for a body", "chat/completions", [chat], "", /expected object, found array/],
  ["no prompt", "completions", { model: MODEL }, "prompt", /required|found nothing/],
  ["a wrong prompt", "completions", { model: MODEL, prompt: { a: 1 } }, "prompt", /found object/],
  [
    "an absurd prompt_logprobs",
    "chat/completions",
    { ...chat, prompt_logprobs: 1e6 },
    "prompt_logprobs",
    /most 20/,
  ],
  [
    "too many prompts",
    "completions",
    { model: MODEL, prompt: Array(257).fill("a") },
    "prompt",
    /at most 256 items, found 257/,
  ],
  [
    "too many prompts of tokens",
    "completions",
    { model: MODEL, prompt: Array.from({ length: 257 }, () => [1]) },
    "prompt",
    /at most 256 items, found 257/,
  ],
  [
    "a prompt of several kinds",
    "completions",
    { model: MODEL, prompt: [1, 2, "c"] },
    "prompt[2]",
    /expected number, found string/,
  ],
  ["absurd logprobs", "completions", { model: MODEL, prompt: "a", logprobs: 50 }, "logprobs", /20/],
  ["no input", "embeddings", { model: MODEL }, "input", /string or array/],
  [
    "too many inputs",
    "embeddings",
    { model: MODEL, input: Array(2_049).fill("a") },
    "input",
    /at most 2048 items/,
  ],
  [
    "an odd encoding",
    "embeddings",
    { model: MODEL, input: "a", encoding_format: "x" },
    "encoding_format",
    /float/,
  ],
  [
    "absurd dimensions",
    "embeddings",
    { model: MODEL, input: "a", dimensions: 1e7 },
    "dimensions",
    /most/,
  ],
];

/** Bodies of `POST /v1/jobs` beyond their request. */
const JOBS: readonly (readonly [string, object, string, RegExp])[] = [
  ["an unknown field", { urgency: 1 }, "urgency", /unknown field/],
  ["an unknown endpoint", { endpoint: "/v1/images" }, "endpoint", /expected one of/],
  ["an unknown priority", { priority: "now" }, "priority", /expected one of/],
  ["a deadline of 0", { deadline_seconds: 0 }, "deadline_seconds", /at least 1, found 0/],
  ["a deadline in words", { deadline_seconds: "1h" }, "deadline_seconds", /expected number/],
  ["a deadline beyond a week", { deadline_seconds: 1e7 }, "deadline_seconds", /most 604800/],
  ["a negative retention", { retention_seconds: -1 }, "retention_seconds", /at least 0/],
  ["an unknown on_retry", { on_retry: "maybe" }, "on_retry", /expected one of/],
  ["metadata of numbers", { metadata: { a: 1 } }, "metadata.a", /expected string/],
  ["a list for metadata", { metadata: [] }, "metadata", /expected object, found array/],
  ["a null request", { request: null }, "request", /expected object, found null/],
];

/** Bodies as text. */
const TEXTS: readonly (readonly [string, string, string | null, RegExp])[] = [
  ["an empty body", "", null, /empty/],
  ["what is no JSON", '{"model": CANARY', null, /not valid JSON/],
  ["deep nesting", `{"model":"m","stop":${nested}}`, "stop", /stop nests deeper than 64 levels/],
  ["deep nesting after quotes", `{"a":"\\\\","b":${nested}}`, "b", /b nests deeper/],
  ["more fields than any request has", `{${wide}}`, null, /over 100000 fields, lists and objects/],
  ["more within a field", `{"tools":[{${wide}}]}`, "tools", /tools holds over 100000 fields/],
  ["more objects", `{"model":"m","x":[${"{},".repeat(100_000)}1]}`, "x", /x holds over 100000/],
  ["a __proto__", '{"model":"m","__proto__":{"a":1}}', "__proto__", /not allowed/],
  ["an inner __proto__", '{"messages":[{"__proto__":1}]}', "messages[0].__proto__", /not allowed/],
  ["an escaped __proto__", '{"a":{"\\u005f_proto__":1}}', "a.__proto__", /not allowed/],
];

describe("bad input", () => {
  test.for(REQUESTS)(
    "names %s to /v1/%s",
    async ([, path, body, param, says], { client, redis }) => {
      const answer = await client.call("POST", `/v1/${path}`, { body });

      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        error: { type: "invalid_request_error", code: "request_invalid", param: param || null },
      });
      expect(answer.text).toMatch(says);
      await expect(redis.keys("hr:{t:*")).resolves.toEqual([]);
    },
  );

  test.for(REQUESTS)(
    "names %s within a job for /v1/%s",
    async ([, path, body, param], { client }) => {
      const answer = await client.call("POST", "/v1/jobs", {
        body: { endpoint: `/v1/${path}`, request: body },
      });
      const list = await client.call("GET", "/v1/jobs");

      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        error: { param: param === "" ? "request" : `request.${param}` },
      });
      expect(list.body["data"]).toEqual([]);
    },
  );

  test.for(JOBS)("names %s", async ([, fields, param, says], { client }) => {
    const answer = await client.call("POST", "/v1/jobs", {
      body: { endpoint: "/v1/chat/completions", request: chat, ...fields },
    });
    const list = await client.call("GET", "/v1/jobs");

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param, code: "request_invalid" } });
    expect(answer.text).toMatch(says);
    expect(list.body["data"]).toEqual([]);
  });

  test.for(TEXTS)("refuses %s", async ([, body, param, says], { client, logs }) => {
    const answer = await client.call("POST", "/v1/chat/completions", { body });

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param } });
    expect(answer.text).toMatch(says);
    expect(answer.text + logs.text).not.toContain("CANARY");
  });

  test("takes what only looks like __proto__ or depth", async ({ client, worker }) => {
    const content = `What is __proto__? \\u005f ${"[{".repeat(100)} "quoted \\"`;
    const id = await client.submit({}, content);
    const { attempt } = await worker.next();

    expect(attempt.job).toBe(id);
    expect(attempt.spec.request["messages"]).toEqual([{ role: "user", content }]);
  });

  test("refuses a body over the limit, declared or not", async ({ client, ingress }) => {
    const body = JSON.stringify({ ...chat, pad: "x".repeat(700_000) });
    const declared = await client.call("POST", "/v1/chat/completions", { body });
    const chunked = await fetch(`http://127.0.0.1:${ingress.port}/v1/chat/completions`, {
      method: "POST",
      headers: {
        authorization: "Bearer hr_test_0123456789abcdef",
        "content-type": "application/json",
      },
      body: new Blob([body]).stream(),
      duplex: "half",
    });

    expect(declared.status).toBe(413);
    expect(declared.body).toMatchObject({ error: { code: "request_too_large" } });
    expect(chunked.status).toBe(413);
    await chunked.body?.cancel();
  });

  test("refuses other media types, and compression", async ({ client }) => {
    const call = (headers: Record<string, string>, body: string | Uint8Array) =>
      client.call("POST", "/v1/jobs", { body, headers });
    const json = JSON.stringify(chat);
    const answers = await Promise.all([
      call({ "content-type": "text/plain" }, json),
      call({ "content-type": "application/json; charset=latin1" }, json),
      call({ "content-encoding": "gzip" }, new Uint8Array(gzipSync(json))),
      call({ "content-type": "application/json; charset=utf-8" }, "{"),
    ]);

    expect(answers.map(({ status }) => status)).toEqual([415, 415, 415, 400]);
    expect(answers[0]?.body).toMatchObject({ error: { code: "media_type_unsupported" } });
  });

  test("names an unknown model by its place", async ({ client }) => {
    const request = { ...chat, model: "nobody" };
    const call = await client.call("POST", "/v1/chat/completions", { body: request });
    const job = await client.call("POST", "/v1/jobs", {
      body: { endpoint: "/v1/chat/completions", request },
    });

    expect([call.status, job.status]).toEqual([404, 404]);
    expect(call.body).toMatchObject({ error: { code: "model_not_found", param: "model" } });
    expect(job.body).toMatchObject({ error: { code: "model_not_found", param: "request.model" } });
  });

  test.for([
    ["Idempotency-Key", { "idempotency-key": "" }],
    ["Idempotency-Key", { "idempotency-key": "k".repeat(256) }],
    ["Prefer", { prefer: "wait=soon" }],
    ["Prefer", { prefer: "respond-async, wait=-1" }],
  ] as const)("names a bad %s: %j", async ([param, headers], { client }) => {
    const body = { endpoint: "/v1/chat/completions", request: chat };
    const answer = await client.call("POST", "/v1/jobs", { body, headers: { ...headers } });

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param } });
    expect((await client.call("GET", "/v1/jobs")).body["data"]).toEqual([]);
  });

  test.for([
    ["x-headrace-deadline-seconds", "0"],
    ["x-headrace-deadline-seconds", "1e3"],
    ["x-headrace-priority", "now"],
  ] as const)("names a bad %s: %s", async ([param, value], { client }) => {
    const answer = await client.call("POST", "/v1/chat/completions", {
      body: chat,
      headers: { [param]: value },
    });

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param } });
  });

  test.for([
    ["?limit=0", "limit"],
    ["?limit=101", "limit"],
    ["?limit=ten", "limit"],
    ["?limit=1&limit=2", "limit"],
    ["?status=done", "status"],
    ["?after=job_1", "after"],
    ["?statsu=queued", "statsu"],
  ] as const)("names the field in GET /v1/jobs%s", async ([query, param], { client }) => {
    const answer = await client.call("GET", `/v1/jobs${query}`);

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param } });
  });

  test("names a bad wait and a bad cursor", async ({ client }) => {
    const id = await client.submit();
    const answers = await Promise.all([
      client.call("GET", `/v1/jobs/${id}?wait=61`),
      client.call("GET", `/v1/jobs/${id}?wait=soon`),
      client.call("GET", `/v1/jobs/${id}/events?starting_after=7`),
      client.call("GET", `/v1/jobs/${id}/events`, { headers: { "last-event-id": "1-x" } }),
    ]);

    expect(answers.map(({ status, body }) => [status, Object(body["error"]).param])).toEqual([
      [400, "wait"],
      [400, "wait"],
      [400, "starting_after"],
      [400, "Last-Event-ID"],
    ]);
  });

  test.for([
    ["GET", ""],
    ["DELETE", ""],
    ["GET", "/events"],
    ["POST", "/cancel"],
    ["GET", "/latency"],
  ] as const)("answers %s of an unknown job%s with 404", async ([method, path], { client }) => {
    const ids = ["nonsense", "job_aaaaaa_00000000000000000000000000", "__proto__"];
    const answers = await Promise.all(
      ids.map((id) => client.call(method, `/v1/jobs/${id}${path}`)),
    );

    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(answers[1]?.body).toMatchObject({ error: { code: "job_not_found" } });
  });
});
