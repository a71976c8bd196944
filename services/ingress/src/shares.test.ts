import { once } from "node:events";
import { request as startRequest, type ClientRequest } from "node:http";

import { describe, expect, onTestFinished } from "vitest";

import { Ingress } from "./ingress.ts";
import { TestClient } from "./testing/client.ts";
import { API_KEY, ingressTest as test, testConfig } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";
import { makeKey } from "./testing/tenants.ts";

const BODY_BYTES = 8 * 1_024 * 1_024;
/** A tenant's share of the bodies on their way, in such bodies. */
const SHARE = 8;
const REFUSAL = { status: 429, body: { error: { code: "share_exceeded" } } };
const SUBMIT = {
  endpoint: "/v1/completions",
  request: { model: MODEL, prompt: "Say something." },
};

describe("one tenant's streams", () => {
  test("leave room for others'", async ({ redisServer, logs, client, worker: _registered }) => {
    const ingress = await Ingress.start({ ...testConfig(redisServer.url, logs), maxStreams: 24 });
    onTestFinished(() => ingress.close());
    const greedy = new TestClient(ingress.port, API_KEY);
    const other = greedy.with((await makeKey(client, { tenant: "acme" })).key);
    const id = await client.submit();
    const open = await Promise.all(
      Array.from({ length: 18 }, () => greedy.stream("GET", `/v1/jobs/${id}/events`)),
    );
    const one = await greedy.call("GET", `/v1/jobs/${id}/events`);
    const accepted = await greedy.call("POST", "/v1/jobs", {
      body: SUBMIT,
      headers: { prefer: "wait=9" },
    });
    const mine = await other.submit();
    const stream = await other.stream("GET", `/v1/jobs/${mine}/events`);
    for (const reader of [...open, stream]) reader.hangUp();

    expect(open.map(({ response }) => response.status)).toEqual(open.map(() => 200));
    expect(one).toMatchObject(REFUSAL);
    expect(one.headers.get("retry-after")).toBe("1");
    // Accepted is accepted, though its caller cannot wait with it.
    expect(accepted.status).toBe(202);
    expect(stream.response.status).toBe(200);
  });

  test("are as many as the operator says", async ({ redisServer, logs, worker: _registered }) => {
    const config = { ...testConfig(redisServer.url, logs), maxStreams: 40, tenantStreamShare: 0.5 };
    const ingress = await Ingress.start(config);
    onTestFinished(() => ingress.close());
    const greedy = new TestClient(ingress.port, API_KEY);
    const id = await greedy.submit();
    const follow = () => greedy.stream("GET", `/v1/jobs/${id}/events`);
    const open = await Promise.all(Array.from({ length: 20 }, follow));
    const one = await greedy.call("GET", `/v1/jobs/${id}/events`);
    for (const reader of open) reader.hangUp();

    expect(open.map(({ response }) => response.status)).toEqual(open.map(() => 200));
    expect(one).toMatchObject(REFUSAL);
  });
});

describe("one tenant's bodies", () => {
  test("leave room for others', and make room when they break off", async ({
    redisServer,
    logs,
    client,
    worker: _registered,
  }) => {
    const ingress = await Ingress.start({
      ...testConfig(redisServer.url, logs),
      bodyLimitBytes: BODY_BYTES,
    });
    onTestFinished(() => ingress.close());
    const greedy = new TestClient(ingress.port, API_KEY);
    const other = greedy.with((await makeKey(client, { tenant: "acme" })).key);
    const slow = await Promise.all(
      Array.from({ length: SHARE }, () => startBody(ingress.port, BODY_BYTES)),
    );

    const refused = await greedy.call("POST", "/v1/jobs", { body: {} });
    await other.submit();
    slow[0]?.destroy();

    expect(refused).toMatchObject(REFUSAL);
    await expect.poll(() => greedy.submit().catch(() => null)).toMatch(/^job_/);
    for (const request of slow) request.destroy();
  });
});

/** Begin a submit whose body does not come. Resolves when the server has its head. */
async function startBody(port: number, bytes: number): Promise<ClientRequest> {
  const request = startRequest({
    port,
    method: "POST",
    path: "/v1/jobs",
    headers: {
      authorization: `Bearer ${API_KEY}`,
      "content-type": "application/json",
      "content-length": bytes,
      expect: "100-continue",
    },
  });
  request.on("error", () => {});
  request.flushHeaders();
  await once(request, "continue");
  return request;
}
