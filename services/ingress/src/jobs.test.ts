import { describe, expect } from "vitest";

import { readMetric } from "./testing/exposition.ts";
import { hangUpDuring } from "./testing/hang-up.ts";
import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL, USAGE } from "./testing/simulated-worker.ts";

const request = { model: MODEL, messages: [{ role: "user", content: "Say something." }] };
const body = { endpoint: "/v1/chat/completions", request };
const message = { role: "assistant", content: "Hello world" };

describe("POST /v1/jobs", () => {
  test("accepts a job, and says where it stands and where to look", async ({ client }) => {
    const first = await client.call("POST", "/v1/jobs", {
      body: { ...body, metadata: { a: "b" } },
    });
    const second = await client.call("POST", "/v1/jobs", { body });
    const id = String(first.body["id"]);

    expect(first.status).toBe(202);
    expect(first.headers.get("location")).toBe(`/v1/jobs/${id}`);
    expect(first.body).toMatchObject({
      object: "job",
      status: "queued",
      endpoint: "/v1/chat/completions",
      model: MODEL,
      priority: "standard",
      on_retry: "continue",
      metadata: { a: "b" },
      attempts: 0,
      waiting_reason: "backlog",
      queue_position: 0,
      result: null,
      status_url: `/v1/jobs/${id}`,
      events_url: `/v1/jobs/${id}/events`,
      cancel_url: `/v1/jobs/${id}/cancel`,
    });
    expect(Number(first.body["deadline_at"]) - Number(first.body["created_at"])).toBeCloseTo(3_600);
    expect(second.body).toMatchObject({ queue_position: 1 });
  });

  test("says when, by the clock that every later answer goes by", async ({ client }) => {
    const deadline = { deadline_seconds: 7.0004 };
    const submitted = await client.call("POST", "/v1/jobs", { body: { ...body, ...deadline } });
    const read = await client.call("GET", `/v1/jobs/${String(submitted.body["id"])}`);

    expect(submitted.body).toEqual(read.body);
    expect(submitted.body["created_at"]).toBeTypeOf("number");
  });

  test("hands the request to the worker as it was sent", async ({ client, worker }) => {
    const sent = {
      ...request,
      tools: [{ type: "function", x: { y: 1 } }],
      vendor_field: [1, null],
    };
    await client.call("POST", "/v1/jobs", { body: { ...body, request: sent, priority: "batch" } });
    const { attempt } = await worker.next();

    expect(attempt.spec).toMatchObject({ tenant: "default", priority: "batch", request: sent });
    expect(Object.keys(attempt.spec.request).toSorted()).toEqual(Object.keys(sent).toSorted());
    expect(attempt.spec.admit_ms).toBeGreaterThan(0);
  });

  test("answers the same key and body with the same job", async ({ client }) => {
    const headers = { "idempotency-key": "order 7/a" };
    const first = await client.call("POST", "/v1/jobs", { body, headers });
    const again = await client.call("POST", "/v1/jobs", { body, headers });
    const other = await client.call("POST", "/v1/jobs", {
      body: { ...body, priority: "batch" },
      headers,
    });
    const list = await client.call("GET", "/v1/jobs");

    expect(first.headers.get("idempotent-replayed")).toBeNull();
    expect(again.status).toBe(202);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(again.body["id"]).toBe(first.body["id"]);
    expect(other.status).toBe(422);
    expect(other.body).toMatchObject({ error: { code: "idempotency_key_reused" } });
    expect(list.body["data"]).toHaveLength(1);
  });

  test("holds the answer back when the caller prefers to wait", async ({ client, worker }) => {
    const answer = client.call("POST", "/v1/jobs", {
      body,
      headers: { prefer: "respond-async, wait=30" },
    });
    const run = await worker.next();
    run.say("Hello");
    run.say(" world");
    await run.complete();

    const { status, headers, body: job } = await answer;

    expect(status).toBe(200);
    expect(headers.get("preference-applied")).toBe("wait=30");
    expect(job).toMatchObject({
      status: "completed",
      usage: USAGE,
      result: { object: "chat.completion", choices: [{ index: 0, message }], usage: USAGE },
    });
  });

  test("answers 202 once the wait is over, and takes a long wait for 60 s", async ({
    client,
    worker,
  }) => {
    const short = await client.call("POST", "/v1/jobs", { body, headers: { prefer: "wait=1" } });
    const long = client.call("POST", "/v1/jobs", { body, headers: { prefer: "wait=600" } });
    const runs = [await worker.next(), await worker.next()];
    for (const run of runs) await run.complete();

    expect(short.status).toBe(202);
    expect(short.body).toMatchObject({ status: "queued", queue_position: 0 });
    expect((await long).headers.get("preference-applied")).toBe("wait=60");
  });
});

describe("GET /v1/jobs/{id}", () => {
  test("waits for nobody who has hung up", async ({ client, ingress, redisServer }) => {
    const id = await client.submit();
    redisServer.signal("SIGSTOP");
    await hangUpDuring(ingress, { method: "GET", path: `/v1/jobs/${id}?wait=60` });
    redisServer.signal("SIGCONT");

    await expect.poll(() => readMetric(ingress, "llm_active_requests")).toBe(0);
  });

  test("shows a job's life", async ({ client, worker }) => {
    const id = await client.submit();
    const queued = await client.call("GET", `/v1/jobs/${id}`);
    const run = await worker.next();
    const running = await client.call("GET", `/v1/jobs/${id}`);
    run.say("Hello world");
    await run.complete();
    const ended = await client.call("GET", `/v1/jobs/${id}`);

    expect(queued.body).toMatchObject({ status: "queued", queue_position: 0, started_at: null });
    expect(running.body).toMatchObject({
      status: "in_progress",
      attempts: 1,
      waiting_reason: null,
      queue_position: null,
      result: null,
      expires_at: null,
    });
    expect(ended.body).toMatchObject({
      status: "completed",
      error: null,
      usage: USAGE,
      result: { id: `chatcmpl-${id}`, model: MODEL, choices: [{ message }] },
    });
    const { ended_at: endedAt, expires_at: expiresAt } = ended.body;
    expect(Number(expiresAt) - Number(endedAt)).toBeCloseTo(24 * 3_600);
  });

  test("waits for the end", async ({ client, worker }) => {
    const id = await client.submit();
    const answer = client.call("GET", `/v1/jobs/${id}?wait=30`);
    const run = await worker.next();
    await run.fail({ message: "boom", type: "server_error", param: null, code: "engine_failed" });

    expect((await answer).body).toMatchObject({
      status: "failed",
      result: null,
      error: { message: "boom", code: "engine_failed" },
    });
  });

  test("forgets a job of retention 0 once it has answered with its end", async ({
    client,
    worker,
  }) => {
    const id = await client.submit({ retention_seconds: 0 });
    const run = await worker.next();
    await run.complete();
    const first = await client.call("GET", `/v1/jobs/${id}`);

    expect(first.body).toMatchObject({ status: "completed" });
    await expect.poll(async () => (await client.call("GET", `/v1/jobs/${id}`)).status).toBe(404);
    expect((await client.call("GET", "/v1/jobs")).body["data"]).toEqual([]);
  });
});

describe("GET /v1/jobs", () => {
  test("lists newest first, in pages, by state and model", async ({ client, worker }) => {
    const ids = [await client.submit(), await client.submit(), await client.submit()];
    const run = await worker.next();
    await run.complete();
    const idsOf = async (query: string): Promise<unknown> => {
      const { body: page } = await client.call("GET", `/v1/jobs${query}`);
      const data: { id: string }[] = Object(page["data"]);
      return [data.map(({ id }) => id), page["has_more"]];
    };
    const [first, second, third] = ids;

    await expect(idsOf("")).resolves.toEqual([[third, second, first], false]);
    await expect(idsOf("?limit=2")).resolves.toEqual([[third, second], true]);
    await expect(idsOf(`?limit=2&after=${second}`)).resolves.toEqual([[first], false]);
    await expect(idsOf("?status=completed")).resolves.toEqual([[run.attempt.job], false]);
    await expect(idsOf(`?model=${MODEL}&limit=1`)).resolves.toEqual([[third], true]);
    await expect(idsOf("?model=other")).resolves.toEqual([[], false]);
  });

  test("knows no page after an unknown job", async ({ client }) => {
    const { status } = await client.call(
      "GET",
      "/v1/jobs?after=job_aaaaaa_00000000000000000000000000",
    );

    expect(status).toBe(404);
  });
});

describe("POST /v1/jobs/{id}/cancel", () => {
  test("ends a queued job, again and again", async ({ client, worker }) => {
    const id = await client.submit();
    const first = await client.call("POST", `/v1/jobs/${id}/cancel`);
    const again = await client.call("POST", `/v1/jobs/${id}/cancel`);
    const next = await client.submit();

    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ id, status: "cancelled", error: null, result: null });
    expect(again.body).toEqual(first.body);
    expect((await worker.next()).attempt.job).toBe(next);
  });

  test("stops the worker of a running one", async ({ client, worker }) => {
    const id = await client.submit();
    const run = await worker.next();
    await client.call("POST", `/v1/jobs/${id}/cancel`);

    await expect(run.lost).resolves.toBe("cancelled");
  });

  test("leaves an ended job as it ended", async ({ client, worker }) => {
    const id = await client.submit();
    const run = await worker.next();
    await run.complete();
    const { body: job } = await client.call("POST", `/v1/jobs/${id}/cancel`);

    expect(job).toMatchObject({ status: "completed", usage: USAGE });
  });
});

describe("DELETE /v1/jobs/{id}", () => {
  test("removes an ended job and all that is stored of it", async ({ client, worker, redis }) => {
    const id = await client.submit();
    const open = await client.call("DELETE", `/v1/jobs/${id}`);
    const run = await worker.next();
    run.say("Hello");
    await run.complete();
    const ended = await client.call("DELETE", `/v1/jobs/${id}`);

    expect(open.status).toBe(409);
    expect(open.body).toMatchObject({ error: { code: "job_not_ended" } });
    expect(ended.body).toEqual({ id, object: "job", deleted: true });
    expect((await client.call("GET", `/v1/jobs/${id}`)).status).toBe(404);
    await expect(redis.keys(`*${id}*`)).resolves.toEqual([]);
  });
});

describe("GET /v1/jobs/{id}/latency", () => {
  test("tells where an ended job's time went", async ({ client, worker }) => {
    const id = await client.submit();
    const open = await client.call("GET", `/v1/jobs/${id}/latency`);
    const run = await worker.next();
    run.say("Hello");
    await run.complete();
    const { body: latency } = await client.call("GET", `/v1/jobs/${id}/latency`);
    const stages: { stage: string; seconds: number }[] = Object(latency["stages"]);

    expect(open.status).toBe(409);
    expect(latency).toMatchObject({ job: id, attempts: 1 });
    expect(stages[0]?.stage).toBe("admit");
    expect(stages[0]?.seconds).toBeGreaterThan(0);
    const sum = stages.reduce((total, { seconds }) => total + seconds, 0);
    expect(sum).toBeCloseTo(Number(latency["total_seconds"]), 9);
  });
});
