import type { Submit } from "@headrace/contract";
import { describe, expect, test as plainTest } from "vitest";

import { Headrace } from "./headrace.ts";
import { cut, jobBody, json, refuse, serverTest as test, type Answer } from "./test-server.ts";

const submit: Submit = {
  endpoint: "/v1/completions",
  request: { model: "m", prompt: "p", own: [1] },
};

const page = (ids: string[], hasMore: boolean): Answer =>
  json(200, {
    object: "list",
    data: ids.map((id) => jobBody("completed", id)),
    first_id: ids[0] ?? null,
    last_id: ids.at(-1) ?? null,
    has_more: hasMore,
  });

/** Fetch as browsers do: not as somebody's method. */
async function strictFetch(
  this: unknown,
  ...[input, init]: Parameters<typeof fetch>
): Promise<Response> {
  if (this !== undefined) throw new TypeError("Illegal invocation");
  return fetch(input, init);
}

describe("submit", () => {
  test("sends the key, the body as given, and a key of its own", async ({ server }) => {
    let sent = "";
    server.answers = [
      (request, response, body) => {
        sent = body;
        void json(202, jobBody("queued"))(request, response, body);
      },
    ];
    const job = await server.client().submit(submit);

    expect(job.status).toBe("queued");
    expect(JSON.parse(sent)).toEqual(submit);
    const [request] = server.requests;
    expect(request?.headers.authorization).toBe("Bearer hr_test");
    expect(request?.headers["idempotency-key"]).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("calls fetch as browsers demand it, as nobody's method", async ({ server }) => {
    server.answers = [json(202, jobBody("queued"))];
    const job = await server.client({ fetch: strictFetch }).submit(submit);

    expect(job.status).toBe("queued");
  });

  test("repeats under one key what may or may not have arrived", async ({ server }) => {
    server.answers = [
      cut,
      refuse(503, "queue_unavailable"),
      refuse(429, "rate_limited"),
      json(202, jobBody("queued")),
    ];
    const retries: string[] = [];
    const client = server.client({ onRetry: ({ code }) => retries.push(code) });
    await client.submit(submit);

    const keys = server.requests.map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
    expect(retries).toEqual(["connection_failed", "queue_unavailable", "rate_limited"]);
  });

  test("waits at least as long as the server asks", async ({ server }) => {
    server.answers = [
      refuse(429, "rate_limited", { "retry-after": "0.1" }),
      json(202, jobBody("queued")),
    ];
    const startedAtMs = performance.now();
    await server.client().submit(submit, { idempotencyKey: "mine" });

    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(99);
    expect(server.requests[1]?.headers["idempotency-key"]).toBe("mine");
  });

  test.for([
    [400, "request_invalid"],
    [404, "model_not_found"],
    [422, "idempotency_key_reused"],
  ] as const)("gives up at once on %d", async ([status, code], { server }) => {
    server.answers = [refuse(status, code, { "x-request-id": "req_7" })];

    await expect(server.client().submit(submit)).rejects.toMatchObject({
      name: "HeadraceError",
      message: `this is ${code}`,
      status,
      code,
      param: "model",
      requestId: "req_7",
      retryable: false,
    });
    expect(server.requests).toHaveLength(1);
  });

  test("gives up on a wait of over a minute, and on a server that says not to come again", async ({
    server,
  }) => {
    server.answers = [refuse(429, "x", { "retry-after": "61" })];
    await expect(server.client().submit(submit)).rejects.toMatchObject({ retryAfterMs: 61_000 });
    expect(server.requests).toHaveLength(1);

    server.answers = [refuse(502, "x", { "x-should-retry": "false" })];
    await expect(server.client().submit(submit)).rejects.toMatchObject({ retryable: false });
    expect(server.requests).toHaveLength(2);
  });

  test("gives up after five tries", async ({ server }) => {
    server.answers = [cut];

    await expect(server.client().submit(submit)).rejects.toMatchObject({
      status: null,
      code: "connection_failed",
    });
    expect(server.requests).toHaveLength(5);
  });

  test("shows a proxy's page for what it is", async ({ server }) => {
    server.answers = [
      (_request, response) => {
        response.writeHead(403, { "content-type": "text/html" }).end("<h1>Forbidden</h1>");
      },
    ];

    await expect(server.client().submit(submit)).rejects.toMatchObject({
      code: "http_403",
      message: "the server answered 403: <h1>Forbidden</h1>",
    });
  });

  test("refuses an answer that is not the contract's", async ({ server }) => {
    server.answers = [json(202, { id: "job" })];
    await expect(server.client().submit(submit)).rejects.toMatchObject({
      code: "response_invalid",
    });

    server.answers = [(_request, response) => void response.end("hello")];
    await expect(server.client().submit(submit)).rejects.toThrow(/something else than JSON/);
  });

  test("rejects with the caller's reason when aborted, also during a pause", async ({ server }) => {
    const abort = new AbortController();
    server.answers = [refuse(429, "x", { "retry-after": "60" })];
    const client = server.client({ onRetry: () => abort.abort(new Error("enough")) });

    await expect(client.submit(submit, { signal: abort.signal })).rejects.toThrow("enough");
  });

  test("takes a server that does not answer for unreachable", async ({ server }) => {
    server.answers = [() => undefined];
    const client = server.client({ timing: { answerMs: 10 } });

    await expect(client.submit(submit)).rejects.toMatchObject({ code: "connection_timeout" });
    expect(server.requests).toHaveLength(5);
  });
});

test("retries an ended job under one key, however often it takes", async ({ server }) => {
  server.answers = [cut, json(202, { ...jobBody("queued"), retry_of: "job_old" })];
  const job = await server.client().retry("job_old");

  expect(job.retry_of).toBe("job_old");
  expect(server.requests.map(({ url }) => url)).toEqual([
    "/v1/jobs/job_old/retry",
    "/v1/jobs/job_old/retry",
  ]);
  const keys = server.requests.map(({ headers }) => headers["idempotency-key"]);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(new Set(keys).size).toBe(1);
});

describe("wait", () => {
  test("polls until the job has ended, over an outage", async ({ server }) => {
    server.answers = [
      json(200, jobBody("queued")),
      json(200, jobBody("in_progress")),
      cut,
      json(200, jobBody("failed")),
    ];

    await expect(server.client().wait("job_abcd_1")).resolves.toMatchObject({ status: "failed" });
    expect(server.requests[0]?.url).toBe("/v1/jobs/job_abcd_1?wait=20");
  });

  test("ends at its time, whatever the server does", async ({ server }) => {
    server.answers = [() => undefined];

    await expect(server.client().wait("job_abcd_1", { timeoutMs: 30 })).rejects.toMatchObject({
      code: "wait_timeout",
      message: "job_abcd_1 has not ended after 0.03 s",
    });
  });
});

test("goes through all pages of jobs", async ({ server }) => {
  server.answers = [page(["c", "b"], true), page(["a"], false)];
  const seen: string[] = [];
  for await (const { id } of server.client().listAll({ status: "completed" })) seen.push(id);

  expect(seen).toEqual(["c", "b", "a"]);
  expect(server.requests.map(({ url }) => url)).toEqual([
    "/v1/jobs?status=completed",
    "/v1/jobs?status=completed&after=b",
  ]);
});

test("keeps the path of the URL it is given, and the id within its own segment", async ({
  server,
}) => {
  server.answers = [json(200, { id: "x", object: "job", deleted: true })];
  await server.client({ url: `${server.url}/headrace` }).delete("../keys");

  expect(server.requests[0]?.url).toBe("/headrace/v1/jobs/..%2Fkeys");
  expect(server.requests[0]?.method).toBe("DELETE");
});

plainTest("refuses a key that no header can carry, before any call", () => {
  expect(() => new Headrace({ url: "http://127.0.0.1", apiKey: "a\nb" })).toThrow(TypeError);
});
