import { findJobId } from "@headrace/contract";
import { describe, expect } from "vitest";

import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const choices = {
  priority: "batch",
  on_retry: "reset",
  deadline_seconds: 90,
  retention_seconds: 120,
  metadata: { order: "7" },
};

describe("POST /v1/jobs/{id}/retry", () => {
  test("makes a new job of a failed one, the same in all that its caller chose", async ({
    client,
    worker,
  }) => {
    const id = await client.submit(choices, "CANARY");
    const failed = await worker.next();
    await failed.fail({ message: "boom", type: "x", param: null, code: "engine_failed" });
    const answer = await client.call("POST", `/v1/jobs/${id}/retry`);
    const run = await worker.next();
    await run.complete();
    const before = await client.call("GET", `/v1/jobs/${id}`);
    const after = await client.call("GET", `/v1/jobs/${String(answer.body["id"])}`);

    const { deadline_seconds: deadline, retention_seconds: retention, ...chosen } = choices;
    expect(answer.status).toBe(202);
    expect(answer.headers.get("location")).toBe(`/v1/jobs/${String(answer.body["id"])}`);
    expect(answer.body).toMatchObject({ ...chosen, status: "queued", retry_of: id, model: MODEL });
    const { created_at: createdAt, deadline_at: deadlineAt } = answer.body;
    expect(Number(deadlineAt) - Number(createdAt)).toBeCloseTo(deadline);
    expect(run.attempt.job).toBe(answer.body["id"]);
    expect(run.attempt.spec.request).toEqual(failed.attempt.spec.request);
    expect(before.body).toMatchObject({ status: "failed", attempts: 1, retry_of: null });
    expect(after.body).toMatchObject({ status: "completed", attempts: 1, retry_of: id });
    const { ended_at: endedAt, expires_at: expiresAt } = after.body;
    expect(Number(expiresAt) - Number(endedAt)).toBeCloseTo(retention);
  });

  test("runs a cancelled and an expired job again", async ({ client }) => {
    const cancelled = await client.submit();
    await client.call("POST", `/v1/jobs/${cancelled}/cancel`);
    const expired = await client.submit({ deadline_seconds: 1 });
    await expect
      .poll(async () => (await client.call("GET", `/v1/jobs/${expired}`)).body["status"], {
        timeout: 15_000,
      })
      .toBe("expired");
    const answers = await Promise.all(
      [cancelled, expired].map((id) => client.call("POST", `/v1/jobs/${id}/retry`)),
    );

    expect(answers.map(({ status }) => status)).toEqual([202, 202]);
    expect(answers.map(({ body }) => body["retry_of"])).toEqual([cancelled, expired]);
  }, 20_000);

  test("makes one job under one key, and none under that of another retry", async ({ client }) => {
    const submitted = await client.submit();
    await client.call("POST", `/v1/jobs/${submitted}/cancel`);
    const other = await client.submit();
    await client.call("POST", `/v1/jobs/${other}/cancel`);
    const retry = (id: string, key: string): ReturnType<typeof client.call> =>
      client.call("POST", `/v1/jobs/${id}/retry`, { headers: { "idempotency-key": key } });
    const answers = await Promise.all(Array.from({ length: 20 }, () => retry(submitted, "one")));
    const foreign = await retry(other, "one");
    const long = await retry(submitted, "x".repeat(256));

    expect(new Set(answers.map(({ body }) => body["id"])).size).toBe(1);
    expect(
      answers.filter(({ headers }) => headers.get("idempotent-replayed") === null),
    ).toHaveLength(1);
    expect(foreign).toMatchObject({
      status: 422,
      body: { error: { code: "idempotency_key_reused" } },
    });
    expect(long).toMatchObject({ status: 400, body: { error: { param: "Idempotency-Key" } } });
    expect((await client.call("GET", "/v1/jobs")).body["data"]).toHaveLength(3);
  });

  test("holds the answer back when the caller prefers to wait", async ({ client, worker }) => {
    const id = await client.submit();
    await client.call("POST", `/v1/jobs/${id}/cancel`);
    const answer = client.call("POST", `/v1/jobs/${id}/retry`, { headers: { prefer: "wait=30" } });
    await (await worker.next()).complete();

    expect(await answer).toMatchObject({ status: 200, body: { status: "completed" } });
  });

  test("refuses a job that is open, and one that has its result", async ({ client, worker }) => {
    const id = await client.submit();
    const queued = await client.call("POST", `/v1/jobs/${id}/retry`);
    const run = await worker.next();
    const running = await client.call("POST", `/v1/jobs/${id}/retry`);
    await run.complete();
    const completed = await client.call("POST", `/v1/jobs/${id}/retry`);

    expect([queued.status, running.status, completed.status]).toEqual([409, 409, 409]);
    expect([queued, running, completed].map(({ body }) => body["error"])).toMatchObject([
      { code: "job_not_ended" },
      { code: "job_not_ended" },
      { code: "job_completed" },
    ]);
    expect((await client.call("GET", "/v1/jobs")).body["data"]).toHaveLength(1);
  });

  test("knows no job that is unknown, foreign, deleted, or no id at all", async ({
    client,
    redis,
  }) => {
    const foreign = findJobId(await client.submit());
    await client.call("POST", `/v1/jobs/${foreign}/cancel`);
    const [entry = ""] = await redis.keys(`*:job:${foreign}`);
    const spec: object = JSON.parse((await redis.hget(entry, "spec")) ?? "");
    await redis.hset(entry, "spec", JSON.stringify({ ...spec, tenant: "other" }));
    const deleted = await client.submit();
    await client.call("POST", `/v1/jobs/${deleted}/cancel`);
    await client.call("DELETE", `/v1/jobs/${deleted}`);
    const unknown = "job_aaaaaa_00000000000000000000000000";
    const answers = await Promise.all(
      [foreign, deleted, unknown, "job_x", "..%2F..%2Fkeys", "%00"].map((id) =>
        client.call("POST", `/v1/jobs/${id}/retry`),
      ),
    );

    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 404, body: { error: { code: "job_not_found" } } });
    }
  });

  test("takes no body but an empty one", async ({ client }) => {
    const id = await client.submit();
    await client.call("POST", `/v1/jobs/${id}/cancel`);
    const retry = (body: unknown, headers = {}): ReturnType<typeof client.call> =>
      client.call("POST", `/v1/jobs/${id}/retry`, { body, headers });
    const field = await retry({ priority: "interactive" });
    const list = await retry([]);
    const broken = await retry("{");
    const text = await retry("{}", { "content-type": "text/plain" });
    const empty = await retry({});

    expect([field, list, broken].map(({ status }) => status)).toEqual([400, 400, 400]);
    expect(field.body).toMatchObject({ error: { code: "request_invalid", param: "priority" } });
    expect(text.status).toBe(415);
    expect(empty.status).toBe(202);
    expect((await client.call("GET", "/v1/jobs")).body["data"]).toHaveLength(2);
  });
});
