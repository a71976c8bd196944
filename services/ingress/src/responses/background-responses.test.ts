import { setTimeout as delay } from "node:timers/promises";

import { writeTokenIds } from "@headrace/broker";
import { describe, expect, onTestFinished } from "vitest";
import { z } from "zod";

import { Ingress } from "../ingress.ts";
import { TestClient } from "../testing/client.ts";
import { API_KEY, ingressTest as test, testConfig } from "../testing/ingress-test.ts";
import {
  BACKGROUND,
  dataOf,
  numberOf,
  openResponse,
  readTo,
  responseOf,
  startResponse,
} from "../testing/responses.ts";
import type { SimulatedRun } from "../testing/simulated-worker.ts";

/** Have the worker take what there is, whether or not there is anything. */
async function askForAnother(worker: { next: () => Promise<SimulatedRun> }): Promise<void> {
  await Promise.race([worker.next(), delay(1)]);
}

describe("a background response", () => {
  test("is accepted at once, and lives on when its reader hangs up", async ({ client, worker }) => {
    const reader = await client.stream("POST", "/v1/responses", {
      body: { ...BACKGROUND, stream: true },
    });
    const id = responseOf(await reader.next());
    reader.hangUp();
    const run = await worker.next();
    run.say("Hello");
    const during = await client.call("GET", `/v1/responses/${id}`);
    await run.complete();

    expect(reader.response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(during.body).toMatchObject({ status: "in_progress", output: [], usage: null });
    expect((await client.call("GET", `/v1/responses/${id}`)).body).toMatchObject({
      status: "completed",
      output: [{ content: [{ text: "Hello" }] }],
    });
  });

  test("is told from its first event on, or from wherever a reader is, live", async ({
    client,
    worker,
  }) => {
    const id = await startResponse(client);
    const first = await openResponse(client, id);
    const run = await worker.next();
    run.say("a");
    const delta = await readTo(first, "response.output_text.delta");
    const second = await openResponse(client, id, numberOf(delta));
    const third = await client.stream("GET", `/v1/responses/${id}?stream=true`, {
      headers: { "last-event-id": delta.id ?? "" },
    });
    run.say("b");
    await run.complete();
    const [rest, ...others] = await Promise.all(
      [first, second, third].map(async (reader) => dataOf(await reader.rest())),
    );

    expect(rest?.map(({ type }) => type)).toEqual([
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    for (const other of others) expect(other).toEqual(rest);
  });

  test("that goes on at another attempt is one stream to its readers", async ({
    client,
    worker,
  }) => {
    const id = await startResponse(client, { stream: false });
    const reader = await openResponse(client, id);
    const run = await worker.next();
    run.say("Hel", writeTokenIds([1], { prompt: [7, 8] }));
    const delta = await readTo(reader, "response.output_text.delta");
    await run.release();
    const resumed = await openResponse(client, id, numberOf(delta));
    const second = await worker.next();
    second.say("lo", writeTokenIds([2], { position: 1 }));
    await second.complete();
    const rest = dataOf(await reader.rest());

    expect(second.attempt.from).toBe(1);
    expect(rest[0]).toMatchObject({ delta: "lo", sequence_number: 2 ** 24 + 3 });
    expect(rest.at(-1)).toMatchObject({ response: { output: [{ content: [{ text: "Hello" }] }] } });
    expect(dataOf(await resumed.rest())).toEqual(rest);
  });

  test("that starts over breaks its readers off, who may begin anew", async ({
    client,
    worker,
  }) => {
    const id = await startResponse(client);
    const reader = await openResponse(client, id);
    const run = await worker.next();
    run.say("void");
    const delta = await readTo(reader, "response.output_text.delta");
    await run.release();
    const second = await worker.next();
    const broken = dataOf(await reader.rest());
    second.say("good");
    await second.complete();
    const stale = await client.call(
      "GET",
      `/v1/responses/${id}?stream=true&starting_after=${numberOf(delta)}`,
    );
    const whole = dataOf(await (await openResponse(client, id)).rest());

    expect(broken).toMatchObject([{ type: "error", code: "output_interrupted" }]);
    expect(stale.status).toBe(400);
    expect(stale.body).toMatchObject({ error: { param: "starting_after" } });
    expect(whole.at(-1)).toMatchObject({
      type: "response.completed",
      response: { output: [{ content: [{ text: "good" }] }] },
    });
  });

  test("that was streamed from the start fails rather than starting over", async ({
    client,
    worker,
  }) => {
    const reader = await client.stream("POST", "/v1/responses", {
      body: { ...BACKGROUND, stream: true },
    });
    const run = await worker.next();
    run.say("shown");
    await readTo(reader, "response.output_text.delta");
    await run.release();
    const [rest] = await Promise.all([reader.rest(), askForAnother(worker)]);

    expect(dataOf(rest)).toMatchObject([
      { type: "error", code: "output_interrupted" },
      { type: "response.failed" },
    ]);
  });

  test("whose reader has what Redis lost breaks it off", async ({ client, worker, redis }) => {
    const id = await startResponse(client);
    const reader = await openResponse(client, id);
    const run = await worker.next();
    run.say("Hel");
    const delta = await readTo(reader, "response.output_text.delta");
    await redis.del(...(await redis.keys(`*:log:${run.attempt.job}`)));

    expect(dataOf(await reader.rest())).toMatchObject([{ code: "output_interrupted" }]);
    const stale = await client.call(
      "GET",
      `/v1/responses/${id}?stream=true&starting_after=${numberOf(delta)}`,
    );
    expect(stale.body).toMatchObject({ error: { param: "starting_after" } });
  });

  test("that is deleted under its reader breaks it off", async ({ client, worker, redis }) => {
    const id = await startResponse(client);
    const reader = await openResponse(client, id);
    const run = await worker.next();
    run.say("Hel");
    await readTo(reader, "response.output_text.delta");
    await redis.del(...(await redis.keys(`*${run.attempt.job}*`)));

    expect(dataOf(await reader.rest())).toMatchObject([{ code: "response_not_found" }]);
  });

  test("tells a reader that knows how it began nothing of that again", async ({
    client,
    worker,
  }) => {
    const id = await startResponse(client);
    const run = await worker.next();
    const first = await openResponse(client, id);
    const begun = await readTo(first, "response.in_progress");
    const readers = [0, 1, numberOf(begun)].map((known) => openResponse(client, id, known));
    run.say("a");
    await run.complete();
    const firsts = await Promise.all(readers.map(async (reader) => (await reader).next()));

    expect(firsts.map((event) => event?.event)).toEqual([
      "response.queued",
      "response.in_progress",
      "response.output_item.added",
    ]);
  });

  test("that has ended has nothing more for who has its end", async ({ client, worker }) => {
    const id = await startResponse(client);
    await (await worker.next()).complete();
    const events = await (await openResponse(client, id)).rest();
    const rest = await openResponse(client, id, numberOf(events.at(-1) ?? null));

    expect(events.at(-1)?.event).toBe("response.completed");
    expect(await rest.rest()).toEqual([]);
  });

  test("is cancelled once, queued or running, and its readers are told", async ({
    client,
    worker,
  }) => {
    const queued = await startResponse(client);
    const running = await startResponse(client);
    const readers = await Promise.all([
      openResponse(client, queued),
      openResponse(client, running),
    ]);
    const first = await client.call("POST", `/v1/responses/${queued}/cancel`);
    const run = await worker.next();
    run.say("Hel");
    await readTo(await openResponse(client, running), "response.output_text.delta");
    const second = await client.call("POST", `/v1/responses/${running}/cancel`);
    const again = await client.call("POST", `/v1/responses/${running}/cancel`, { body: {} });
    const lasts = await Promise.all(readers.map(async (reader) => (await reader.rest()).at(-1)));

    expect(first.body).toMatchObject({ status: "cancelled", output: [] });
    expect(second.body).toMatchObject({
      status: "cancelled",
      output: [{ status: "incomplete", content: [{ text: "Hel" }] }],
    });
    expect(again.body).toEqual(second.body);
    await expect(run.lost).resolves.toBe("cancelled");
    for (const last of lasts) {
      expect(JSON.parse(last?.data ?? "")).toMatchObject({
        type: "response.incomplete",
        response: { status: "cancelled" },
      });
    }
  });

  test("that has ended stays as it ended, and can be deleted; an open one cannot", async ({
    client,
    worker,
  }) => {
    const id = await startResponse(client);
    const early = await client.call("DELETE", `/v1/responses/${id}`);
    await (await worker.next()).complete();
    const cancelled = await client.call("POST", `/v1/responses/${id}/cancel`);
    const deleted = await client.call("DELETE", `/v1/responses/${id}`);

    expect([early.status, early.body]).toMatchObject([
      409,
      { error: { code: "job_not_ended", message: expect.stringContaining(`${id} is queued`) } },
    ]);
    expect(early.text).not.toContain("job_aa");
    expect(cancelled.body).toMatchObject({ status: "completed" });
    expect(deleted.body).toEqual({ id, object: "response", deleted: true });
    expect((await client.call("GET", `/v1/responses/${id}`)).status).toBe(404);
  });

  test("shows its tools as they were sent", async ({ client }) => {
    const tool = { type: "function", name: "f", parameters: {}, strict: null, description: null };
    const deferred = { ...tool, name: "g", defer_loading: true, output_schema: { type: "string" } };
    const make = (tools: object[]) =>
      client.call("POST", "/v1/responses", { body: { ...BACKGROUND, tools } });

    const plain = await make([tool]);
    const beyond = await make([tool, deferred]);
    const read = await client.call("GET", `/v1/responses/${String(beyond.body["id"])}`);

    expect(plain.body["tools"]).toEqual([tool]);
    expect(beyond.body["tools"]).toEqual([tool, deferred]);
    expect(read.body["tools"]).toEqual([tool, deferred]);
  });

  test("is made once under one key", async ({ client, worker }) => {
    const headers = { "idempotency-key": "once" };
    const call = (body: object) => client.call("POST", "/v1/responses", { body, headers });
    const first = await call(BACKGROUND);
    const again = await call(BACKGROUND);
    const other = await call({ ...BACKGROUND, input: "Another" });
    await (await worker.next()).complete();
    const late = await call(BACKGROUND);
    const streamed = await client.stream("POST", "/v1/responses", {
      body: { ...BACKGROUND, stream: true },
      headers: { "idempotency-key": "streamed" },
    });
    streamed.hangUp();

    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(again.body).toEqual(first.body);
    expect(other.status).toBe(422);
    expect(late.body).toMatchObject({ id: first.body["id"], status: "completed" });
  });

  test("that failed can be run again as a job, which is a response too", async ({
    client,
    worker,
  }) => {
    const id = await startResponse(client, { metadata: { a: "b" } });
    const error = { message: "boom", type: "server_error", param: null, code: "engine_failed" };
    await (await worker.next()).fail(error);
    const failed = await client.call("GET", `/v1/responses/${id}`);
    const retry = await client.call("POST", `/v1/jobs/${id.replace("resp_", "job_")}/retry`);
    const run = await worker.next();
    run.say("Hello");
    await run.complete();
    const again = String(retry.body["id"]).replace("job_", "resp_");

    expect(failed.body).toMatchObject({
      status: "failed",
      error: { code: "server_error", message: "boom" },
    });
    expect((await client.call("GET", `/v1/responses/${again}`)).body).toMatchObject({
      id: again,
      status: "completed",
      background: true,
      metadata: { a: "b" },
      output: [{ content: [{ text: "Hello" }] }],
    });
  });

  test("waits as the caller says", async ({ client }) => {
    const list = async () => (await client.call("GET", "/v1/jobs")).body["data"];
    await startResponse(client, { service_tier: "flex", metadata: { a: "b" } });
    await client.call("POST", "/v1/responses", {
      body: { ...BACKGROUND, service_tier: "flex" },
      headers: { "x-headrace-priority": "interactive", "x-headrace-deadline-seconds": "5" },
    });
    const [second, first] = z
      .array(z.looseObject({ created_at: z.number(), deadline_at: z.number() }))
      .parse(await list());

    expect(first).toMatchObject({ priority: "batch", metadata: { a: "b" } });
    expect(second).toMatchObject({ priority: "interactive" });
    expect((second?.deadline_at ?? 0) - (second?.created_at ?? 0)).toBeCloseTo(5, 1);
    expect((first?.deadline_at ?? 0) - (first?.created_at ?? 0)).toBeCloseTo(3_600, 1);
  });
});

describe("an ingress that stops", () => {
  test("sends readers of background responses elsewhere, and they go on", async ({
    redisServer,
    worker,
    client,
    logs,
  }) => {
    const leaving = await Ingress.start(testConfig(redisServer.url, logs));
    onTestFinished(() => leaving.close());
    const id = await startResponse(client);
    const reader = await openResponse(new TestClient(leaving.port, API_KEY), id);
    const run: SimulatedRun = await worker.next();
    run.say("Hel");
    const delta = await readTo(reader, "response.output_text.delta");
    const closed = leaving.close();
    const left = await reader.rest();
    const elsewhere = await openResponse(client, id, numberOf(delta));
    run.say("lo");
    await run.complete();
    const rest = dataOf(await elsewhere.rest());
    await closed;

    expect(left).toEqual([]);
    expect(rest.at(-1)).toMatchObject({ response: { output: [{ content: [{ text: "Hello" }] }] } });
    expect(logs.text).not.toContain("CANARY");
  });
});

describe("an ingress that holds all the connections it may", () => {
  test("tells whoever made a response how it began, to go on elsewhere", async ({
    redisServer,
    worker,
    client,
    logs,
  }) => {
    const full = await Ingress.start({ ...testConfig(redisServer.url, logs), maxStreams: 0 });
    onTestFinished(() => full.close());
    const reader = await new TestClient(full.port, API_KEY).stream("POST", "/v1/responses", {
      body: { ...BACKGROUND, stream: true },
    });
    const events = await reader.rest();
    const id = responseOf(events[0] ?? null);
    const elsewhere = await openResponse(client, id, numberOf(events.at(-1) ?? null));
    const run = await worker.next();
    run.say("Hello");
    await run.complete();
    const refused = await new TestClient(full.port, API_KEY).call(
      "GET",
      `/v1/responses/${id}?stream=true`,
    );

    expect(events.map(({ event }) => event)).toEqual(["response.created", "response.queued"]);
    expect((await elsewhere.rest()).map(({ event }) => event).at(0)).toBe("response.in_progress");
    expect(refused.status).toBe(503);
  });
});
