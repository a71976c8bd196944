import { jobSchema, type Scope } from "@headrace/contract";
import { describe, expect } from "vitest";

import type { Answer } from "./testing/client.ts";
import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";
import { makeKey } from "./testing/tenants.ts";

const ENDPOINTS = "/v1/webhook_endpoints";
const CANARY = "a heron stands in the tailrace";

describe("a key that may submit and not read", () => {
  test("is told by cancelling that a job has ended, and nothing of what it said", async ({
    client,
    worker,
  }) => {
    const made = await makeKey(client, { tenant: "acme" });
    const blind = await makeKey(client, { tenant: "acme", scopes: ["submit"] });
    const body = {
      endpoint: "/v1/chat/completions",
      request: { model: MODEL, messages: [{ role: "user", content: "Hi" }] },
      metadata: { note: CANARY },
    };
    const { id } = jobSchema.parse((await made.client.call("POST", "/v1/jobs", { body })).body);
    const run = await worker.next();
    run.say(CANARY);
    await run.complete();

    const told = await blind.client.call("POST", `/v1/jobs/${id}/cancel`);
    const seen = await made.client.call("POST", `/v1/jobs/${id}/cancel`);

    expect(told.body).toMatchObject({ status: "completed", result: null, metadata: {} });
    expect(told.text).not.toContain(CANARY);
    expect(seen.text).toContain(CANARY);
  });

  test("is told the same of a response", async ({ client, worker }) => {
    const made = await makeKey(client, { tenant: "acme" });
    const blind = await makeKey(client, { tenant: "acme", scopes: ["submit"] });
    const body = {
      model: MODEL,
      input: "Hi",
      instructions: CANARY,
      background: true,
      metadata: { note: CANARY },
    };
    const { body: begun } = await made.client.call("POST", "/v1/responses", { body });
    const run = await worker.next();
    run.say(CANARY);
    await run.complete();
    const path = `/v1/responses/${Object(begun).id}/cancel`;

    const told = await blind.client.call("POST", path);
    const seen = await made.client.call("POST", path);

    expect(told.body).toMatchObject({ status: "completed", output: [], metadata: {} });
    expect(told.text).not.toContain(CANARY);
    expect(seen.text).toContain(CANARY);
  });

  test.for([
    ["POST", ENDPOINTS],
    ["POST", `${ENDPOINTS}/wh_none`],
    ["DELETE", `${ENDPOINTS}/wh_none`],
    ["POST", `${ENDPOINTS}/wh_none/rotate_secret`],
    ["POST", `${ENDPOINTS}/wh_none/replay`],
    ["POST", "/v1/webhook_secret"],
    ["POST", "/v1/webhook_deliveries/whd_none/replay"],
  ] as const)("has no say in who is told of jobs: %s %s", async ([method, path], { client }) => {
    const body = { url: "https://receiver.example/", event_types: ["job.*"] };
    const callWith = async (...scopes: Scope[]): Promise<Answer> => {
      const made = await makeKey(client, { tenant: "acme", scopes });
      return made.client.call(method, path, method === "POST" ? { body } : {});
    };
    const blind = await callWith("submit");
    const reader = await callWith("read");
    const both = await callWith("submit", "read");

    expect([blind.status, reader.status]).toEqual([403, 403]);
    expect(blind.body).toMatchObject({ error: { code: "scope_missing" } });
    expect(blind.text).toContain("needs a key with the scope submit and read");
    expect(both.status).not.toBe(403);
  });
});
