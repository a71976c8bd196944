import { writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ConfigurationError } from "@headrace/runtime";
import { describe, expect, onTestFinished } from "vitest";

import { Ingress } from "../ingress.ts";
import { TestClient, type Answer } from "../testing/client.ts";
import { readMetric } from "../testing/exposition.ts";
import { FilterServer } from "../testing/filter-server.ts";
import { API_KEY, ingressTest, testConfig } from "../testing/ingress-test.ts";
import type { LogRecorder } from "../testing/log-recorder.ts";
import { MODEL } from "../testing/simulated-worker.ts";
import { makeKey } from "../testing/tenants.ts";
import type { ContentFilterConfig } from "./open.ts";

const messages = [{ role: "user", content: "my CANARY is 4111" }];
const chat = { model: MODEL, messages };
const redacted = { ...chat, messages: [{ role: "user", content: "my [card] is [number]" }] };

/** Every way that a job comes in, by a call that has the canary in its prompt. */
const WAYS: readonly (readonly [string, string, object])[] = [
  ["a job", "/v1/jobs", { endpoint: "/v1/chat/completions", request: chat }],
  ["a chat", "/v1/chat/completions", chat],
  ["a streamed chat", "/v1/chat/completions", { ...chat, stream: true }],
  ["a response", "/v1/responses", { model: MODEL, input: "my CANARY is 4111" }],
  [
    "a background response",
    "/v1/responses",
    { model: MODEL, input: "Hi", instructions: "my CANARY is 4111", background: true },
  ],
  ["a completion", "/v1/completions", { model: MODEL, prompt: "my CANARY is 4111" }],
  ["a response", "/v1/responses", { model: MODEL, input: "my CANARY is 4111" }],
  [
    "a background response",
    "/v1/responses",
    { model: MODEL, input: "my CANARY is 4111", background: true, stream: true },
  ],
  ["a plain generation", "/generate", { prompt: "my CANARY is 4111" }],
  ["an embedding", "/v1/embeddings", { model: MODEL, input: "my CANARY is 4111" }],
];

/** What is no verdict. */
const FAILURES: readonly (readonly [string, FilterServer["answer"]])[] = [
  ["answers 500", (response) => response.writeHead(500).end("CANARY")],
  ["answers 204", (response) => response.writeHead(204).end()],
  ["redirects", (response) => response.writeHead(302, { location: "/CANARY" }).end()],
  ["says nothing", () => {}],
  ["stops in the middle", (response) => response.write('{"action":')],
  ["hangs up", (response) => response.destroy()],
  ["answers what is no JSON", (response) => response.end("CANARY")],
  ["answers an unknown action", (response) => response.end('{"action":"CANARY"}')],
  ["answers a list", (response) => response.end("[]")],
  ["answers nothing", (response) => response.end()],
  [
    "answers a forbidden name",
    (response) => response.end('{"action":"redact","request":{"__proto__":{"CANARY":1}}}'),
  ],
  [
    "answers in absurd depth",
    (response) => response.end(`{"action":"allow","x":${"[".repeat(70)}${"]".repeat(70)}}`),
  ],
  [
    "answers at too great length",
    (response) => response.end(`{"action":"allow","x":"${"x".repeat(700_000)}"}`),
  ],
];

/** What a filter may not make of a chat. */
const UNUSABLE: readonly (readonly [string, unknown])[] = [
  ["another model", { ...redacted, model: "other" }],
  ["a stream", { ...redacted, stream: true }],
  ["more choices", { ...redacted, n: 8 }],
  ["no messages", { model: MODEL }],
  ["nothing", undefined],
  ["absurd bounds", { ...redacted, max_tokens: 1e12 }],
];

const test = ingressTest
  .extend("filter", async ({}, { onCleanup }) => {
    const filter = await FilterServer.start();
    onCleanup(() => filter.close());
    return filter;
  })
  .extend(
    "withFilter",
    async ({ redisServer, worker: _registered, logs, filter }, { onCleanup }) => {
      const opened: Ingress[] = [];
      onCleanup(async () => {
        for (const ingress of opened) await ingress.close();
      });
      return async (options: Partial<ContentFilterConfig> = {}): Promise<TestClient> => {
        const ingress = await startWith(redisServer.url, logs, { url: filter.url, ...options });
        opened.push(ingress);
        return new TestClient(ingress.port, API_KEY);
      };
    },
  );

function startWith(
  redisUrl: string,
  logs: LogRecorder,
  options: Partial<ContentFilterConfig>,
): Promise<Ingress> {
  const config = testConfig(redisUrl, logs);
  return Ingress.start({
    ...config,
    contentFilter: { ...config.contentFilter, timeoutMs: 300, ...options },
  });
}

async function expectNothingQueued(client: TestClient): Promise<void> {
  const list = await client.call("GET", "/v1/jobs");
  expect(list.body["data"]).toEqual([]);
}

/** Write a module for the length of the test. @returns its path */
async function moduleOf(source: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-filter-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "filter.js");
  await writeFile(path, source);
  return path;
}

describe("a content filter", () => {
  test.for(WAYS)(
    "refuses %s, in its own words",
    async ([, path, body], { withFilter, filter, logs }) => {
      const client = await withFilter();
      filter.say({ action: "reject", message: "no CANARY here" });

      const answer = await client.call("POST", path, { body });

      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        error: {
          code: "content_rejected",
          type: "invalid_request_error",
          message: "no CANARY here",
        },
      });
      await expectNothingQueued(client);
      expect(logs.text).not.toContain("CANARY");
    },
  );

  test("is not got past by a batch: there are none while one is set", async ({ withFilter }) => {
    const client = await withFilter();

    const answer = await client.call("POST", "/v1/batches", { body: {} });

    expect(answer).toMatchObject({ status: 501, body: { error: { code: "batches_disabled" } } });
  });

  test.for([
    ["too long a message", { message: "x".repeat(2_000) }, "x".repeat(1_000)],
    ["a message that is none", { message: 7 }, "the operator's content filter refuses this prompt"],
  ] as const)("rejects with %s", async ([, fields, says], { withFilter, filter }) => {
    const client = await withFilter({ passesOnFailure: true });
    filter.say({ action: "reject", ...fields });
    const answer = await client.call("POST", "/v1/chat/completions", { body: chat });

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { code: "content_rejected", message: says } });
  });

  test("is told the endpoint, the model, the tenant and the request", async ({
    withFilter,
    filter,
  }) => {
    const client = await withFilter({ token: "secret-of-the-filter" });
    await client.submit({}, "Hello");

    expect(filter.asked).toMatchObject([
      { headers: { authorization: "Bearer secret-of-the-filter", accept: "application/json" } },
    ]);
    expect(filter.asked[0]?.prompt).toEqual({
      endpoint: "/v1/chat/completions",
      model: MODEL,
      tenant: "default",
      request: { model: MODEL, messages: [{ role: "user", content: "Hello" }] },
    });
  });

  test("lets pass what it allows, as it was sent", async ({ withFilter, worker }) => {
    const client = await withFilter();
    await client.call("POST", "/v1/jobs", {
      body: { endpoint: "/v1/chat/completions", request: { ...chat, odd: { field: 1 } } },
    });
    const { attempt } = await worker.next();

    expect(attempt.spec.request).toEqual({ ...chat, odd: { field: 1 } });
  });

  test("redacts a job before it is kept anywhere", async ({
    withFilter,
    filter,
    redis,
    worker,
  }) => {
    const client = await withFilter();
    filter.say({ action: "redact", request: redacted });
    await client.call("POST", "/v1/jobs", {
      body: { endpoint: "/v1/chat/completions", request: chat },
    });
    const { attempt } = await worker.next();
    const [entry] = await redis.keys("hr:*:job:*");

    expect(attempt.spec.request).toEqual(redacted);
    expect(JSON.stringify(await redis.hgetall(entry ?? ""))).toContain("[card]");
    expect(JSON.stringify(await redis.hgetall(entry ?? ""))).not.toContain("CANARY");
  });

  test("redacts a synchronous call", async ({ withFilter, filter, worker }) => {
    const client = await withFilter();
    filter.say({ action: "redact", request: redacted });
    const [answer, { attempt }] = await Promise.all([
      client.call("POST", "/v1/chat/completions", { body: chat }),
      worker.next().then(async (run) => {
        run.say("Hello");
        await run.complete();
        return run;
      }),
    ]);

    expect(answer.status).toBe(200);
    expect(attempt.spec.request).toEqual(redacted);
  });

  test("is asked again about a job that is retried", async ({ withFilter, filter }) => {
    const client = await withFilter();
    const id = await client.submit();
    await client.call("POST", `/v1/jobs/${id}/cancel`);
    filter.say({ action: "reject" });
    const answer = await client.call("POST", `/v1/jobs/${id}/retry`);

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({
      error: { code: "content_rejected", message: expect.stringContaining("content filter") },
    });
    expect(filter.asked).toHaveLength(2);
  });

  test("may redact a repeated request otherwise, and it is known all the same", async ({
    withFilter,
    filter,
  }) => {
    const client = await withFilter();
    const call = (content: string): Promise<Answer> => {
      filter.say({ action: "redact", request: { ...chat, messages: [{ role: "user", content }] } });
      const body = { endpoint: "/v1/chat/completions", request: chat };
      return client.call("POST", "/v1/jobs", { body, headers: { "idempotency-key": "once" } });
    };
    const [first, second] = [await call("[secret 1]"), await call("[secret 2]")];

    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.body["id"]).toBe(first.body["id"]);
  });

  test("cannot be kept so busy by one tenant that another gets past it", async ({
    withFilter,
    filter,
  }) => {
    const client = await withFilter({ passesOnFailure: true, timeoutMs: 3_000 });
    const other = client.with((await makeKey(client, { tenant: "acme" })).key);
    filter.answer = () => {};
    const body = { endpoint: "/v1/chat/completions", request: chat };
    const held = Array.from({ length: 256 }, () => client.call("POST", "/v1/jobs", { body }));
    await expect.poll(() => filter.asked.length, { timeout: 3_000 }).toBe(256);
    const more = await client.call("POST", "/v1/jobs", { body });
    filter.say({ action: "reject" });
    const forbidden = await other.call("POST", "/v1/jobs", { body });

    expect([more.status, forbidden.status]).toEqual([429, 400]);
    await Promise.all(held);
  });

  test.for(FAILURES)(
    "that %s has nothing queued",
    async ([, answer], { withFilter, filter, logs }) => {
      const client = await withFilter();
      filter.answer = answer;
      const refused = await client.call("POST", "/v1/chat/completions", { body: chat });

      expect(refused.status).toBe(503);
      expect(refused.body).toMatchObject({
        error: { code: "content_filter_unavailable", type: "server_error" },
      });
      expect(refused.headers.get("retry-after")).toBe("1");
      await expectNothingQueued(client);
      expect(logs.text).toContain("the content filter gave no verdict");
      expect(refused.text + logs.text).not.toContain("CANARY");
    },
  );

  test.for(FAILURES)(
    "that %s lets prompts pass where told to",
    async ([, answer], { withFilter, filter, worker, logs }) => {
      const client = await withFilter({ passesOnFailure: true });
      filter.answer = answer;
      await client.call("POST", "/v1/jobs", {
        body: { endpoint: "/v1/chat/completions", request: chat },
      });
      const { attempt } = await worker.next();

      expect(attempt.spec.request).toEqual(chat);
      expect(logs.text).toContain("the content filter gave no verdict");
      expect(logs.text).not.toContain("CANARY");
    },
  );

  test.for(UNUSABLE)(
    "may not make %s of a prompt, nor let it pass",
    async ([, request], { withFilter, filter }) => {
      const client = await withFilter({ passesOnFailure: true });
      filter.say({ action: "redact", request });
      const answer = await client.call("POST", "/v1/chat/completions", { body: chat });

      expect(answer.status).toBe(503);
      expect(answer.body).toMatchObject({ error: { code: "content_filter_unavailable" } });
      await expectNothingQueued(client);
    },
  );

  test("cannot be reached", async ({ withFilter, logs }) => {
    const client = await withFilter({ url: "http://127.0.0.1:9/review" });
    const answer = await client.call("POST", "/v1/chat/completions", { body: chat });

    expect(answer.body).toMatchObject({ error: { code: "content_filter_unavailable" } });
    expect(logs.text).toContain("could not be asked");
  });

  test("shows in metrics, by verdict alone", async ({
    redisServer,
    worker: _registered,
    logs,
    filter,
  }) => {
    const ingress = await startWith(redisServer.url, logs, { url: filter.url });
    const client = new TestClient(ingress.port, API_KEY);
    await client.submit();
    filter.say({ action: "reject" });
    await client.call("POST", "/v1/chat/completions", { body: chat });
    const countOf = (verdict: string): Promise<number | undefined> =>
      readMetric(ingress, `headrace_content_filter_seconds_count{verdict="${verdict}"}`);

    await expect(countOf("allow")).resolves.toBe(1);
    await expect(countOf("reject")).resolves.toBe(1);
    await ingress.close();
  });

  test("is not there unless it is named", async ({ client, filter, worker }) => {
    await client.submit();
    await worker.next();

    expect(filter.asked).toEqual([]);
  });
});

describe("a content filter in a module", () => {
  const byWord = `export async function filter({ request }) {
    const text = JSON.stringify(request);
    if (text.includes("bomb")) return { action: "reject", message: "not that" };
    if (!text.includes("4111")) return { action: "allow" };
    request.messages[0].content = "[card]";
    return { action: "redact", request };
  }`;

  test("decides as one behind a URL", async ({ withFilter, worker }) => {
    const client = await withFilter({ url: null, modulePath: await moduleOf(byWord) });
    const submit = (content: string): Promise<Answer> => {
      const request = { model: MODEL, messages: [{ role: "user", content }] };
      return client.call("POST", "/v1/jobs", {
        body: { endpoint: "/v1/chat/completions", request },
      });
    };
    const answers = [await submit("a bomb"), await submit("a 4111"), await submit("a rose")];
    const runs = [await worker.next(), await worker.next()];

    expect(answers.map(({ status }) => status)).toEqual([400, 202, 202]);
    expect(answers[0]?.body).toMatchObject({ error: { message: "not that" } });
    expect(runs.map(({ attempt }) => attempt.spec.request["messages"])).toEqual([
      [{ role: "user", content: "[card]" }],
      [{ role: "user", content: "a rose" }],
    ]);
  });

  test.for([
    ["throws", 'export function filter() { throw new Error("CANARY"); }'],
    ["rejects", 'export async function filter() { throw "CANARY"; }'],
    ["never ends", "export function filter() { return new Promise(() => {}); }"],
    ["says nothing", "export function filter() {}"],
    ["goes round", "export function filter() { const a = {}; a.a = a; return a; }"],
  ] as const)("that %s has nothing queued", async ([, source], { withFilter, logs }) => {
    const client = await withFilter({ url: null, modulePath: await moduleOf(source) });
    const answer = await client.call("POST", "/v1/chat/completions", { body: chat });

    expect(answer.status).toBe(503);
    expect(answer.body).toMatchObject({ error: { code: "content_filter_unavailable" } });
    await expectNothingQueued(client);
    expect(answer.text + logs.text).not.toContain("CANARY");
  });

  test.for([
    ["exports something else", "export const filters = 1;", /exports no function named filter/],
    ["is no module", "export (", /cannot be loaded as a module/],
  ] as const)(
    "that %s stops the process as it starts",
    async ([, source, says], { redisServer, logs }) => {
      const modulePath = await moduleOf(source);
      const starting = startWith(redisServer.url, logs, { modulePath });

      await expect(starting).rejects.toThrow(ConfigurationError);
      await expect(startWith(redisServer.url, logs, { modulePath })).rejects.toThrow(says);
    },
  );

  test("is refused beside a URL", async ({ redisServer, logs, filter }) => {
    const both = { url: filter.url, modulePath: "filter.js" };

    await expect(startWith(redisServer.url, logs, both)).rejects.toThrow(/are both set; set one/);
  });
});
