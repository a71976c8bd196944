import { jobSchema } from "@headrace/contract";
import { describe, expect } from "vitest";

import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";
import { makeKey } from "./testing/tenants.ts";

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
});
