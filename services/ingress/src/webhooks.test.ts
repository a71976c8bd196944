import { webhookDeliveryListSchema, type WebhookDelivery } from "@headrace/contract";
import { describe, expect, vi } from "vitest";

import type { TestClient } from "./testing/client.ts";
import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const ENDPOINTS = "/v1/webhook_endpoints";
const DELIVERIES = "/v1/webhook_deliveries";
const FORM = { url: "https://receiver.example/hook", event_types: ["job.*"], name: "Ours" };
/** Longest that an ended job may take to be on its way. */
const TOLD_MS = 4_000;

async function create(client: TestClient, form: object = FORM): Promise<string> {
  const { body } = await client.call("POST", ENDPOINTS, { body: form });
  return String(body["id"]);
}

function idsIn(body: Record<string, unknown>): unknown {
  return Array.isArray(body["data"]) ? body["data"].map((item) => Object(item).id) : null;
}

/** Wait until a list of deliveries has so many. */
function deliveriesAt(client: TestClient, path: string, count: number): Promise<WebhookDelivery[]> {
  return vi.waitFor(async () => {
    const { data } = webhookDeliveryListSchema.parse((await client.call("GET", path)).body);
    if (data.length < count) throw new Error(`${data.length} deliveries so far`);
    return data;
  }, TOLD_MS);
}

describe("a webhook endpoint", () => {
  test("is made, read, changed and deleted; its secret is shown once", async ({ client }) => {
    const made = await client.call("POST", ENDPOINTS, { body: FORM });
    const path = `${ENDPOINTS}/${String(made.body["id"])}`;
    const read = await client.call("GET", path);
    const change = { name: "Theirs", event_types: ["job.failed"], status: "disabled" };
    const changed = await client.call("POST", path, { body: change });
    const enabled = await client.call("POST", path, { body: { status: "enabled" } });
    const deleted = await client.call("DELETE", path);
    const gone = await client.call("GET", path);

    const secret = String(made.body["signing_secret"]);
    expect(made.status).toBe(200);
    expect(secret).toMatch(/^whsec_[\w+/]{43}=$/);
    expect(made.body).toMatchObject({ ...FORM, object: "webhook_endpoint", status: "enabled" });
    expect(read.body).toMatchObject({ ...FORM, signing_secret_hint: `…${secret.slice(-4)}` });
    expect(read.text).not.toContain(secret);
    expect(changed.body).toMatchObject({ ...change, url: FORM.url, disabled_reason: "by_owner" });
    expect(enabled.body).toMatchObject({ status: "enabled", disabled_reason: null });
    expect(deleted.body).toMatchObject({ object: "webhook_endpoint.deleted", deleted: true });
    expect(gone.status).toBe(404);
    expect(gone.body).toMatchObject({ error: { code: "webhook_endpoint_not_found" } });
  });

  test("gets a new secret, beside which the old one is valid for a day if asked", async ({
    client,
  }) => {
    const path = `${ENDPOINTS}/${await create(client)}/rotate_secret`;

    const kept = await client.call("POST", path, {
      body: { keep_old_secret_active_for_24_hours: true },
    });
    const dropped = await client.call("POST", path);

    const dayFromNow = Date.now() / 1_000 + 24 * 3_600;
    expect(Number(kept.body["old_secret_expires_at"])).toBeGreaterThan(dayFromNow - 60);
    expect(dropped.body["old_secret_expires_at"]).toBeNull();
    expect(dropped.body["signing_secret"]).not.toBe(kept.body["signing_secret"]);
  });

  test("is one of many, listed page by page, newest first", async ({ client }) => {
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) ids.unshift(await create(client));

    const first = await client.call("GET", `${ENDPOINTS}?limit=2`);
    const second = await client.call("GET", `${ENDPOINTS}?limit=2&after=${ids[1]}`);
    const unknown = await client.call("GET", `${ENDPOINTS}?after=whe_none`);

    expect([idsIn(first.body), idsIn(second.body)]).toEqual([ids.slice(0, 2), ids.slice(2)]);
    expect([first.body["has_more"], second.body["has_more"]]).toEqual([true, false]);
    expect(unknown.status).toBe(404);
    expect(unknown.body).toMatchObject({ error: { param: "after" } });
  });

  test("is not one of more than twenty", async ({ client }) => {
    for (let count = 0; count < 20; count += 1) await create(client);

    const { status, body } = await client.call("POST", ENDPOINTS, { body: FORM });

    expect(status).toBe(409);
    expect(body).toMatchObject({ error: { code: "webhook_endpoint_limit" } });
  });

  test.for([
    [{ ...FORM, url: "ftp://receiver.example/" }, "url"],
    [{ ...FORM, url: "https://user:secret@receiver.example/" }, "url"],
    [{ ...FORM, url: "https://receiver.example/#part" }, "url"],
    [{ ...FORM, url: "receiver.example" }, "url"],
    [{ ...FORM, url: `https://receiver.example/${"x".repeat(2_048)}` }, "url"],
    [{ ...FORM, url: 7 }, "url"],
    [{ ...FORM, event_types: [] }, "event_types"],
    [{ ...FORM, event_types: ["job.started"] }, "event_types[0]"],
    [{ ...FORM, event_types: "job.*" }, "event_types"],
    [{ ...FORM, name: "" }, "name"],
    [{ ...FORM, name: "x".repeat(129) }, "name"],
    [{ ...FORM, secret: "mine" }, "secret"],
    [{ event_types: ["job.*"] }, "url"],
  ] as const)("is refused where it cannot be: %j", async ([form, param], { client }) => {
    const { status, body } = await client.call("POST", ENDPOINTS, { body: form });

    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: "request_invalid", param } });
  });

  test("is told of jobs that end, but not of synchronous calls", async ({ client, worker }) => {
    const id = await create(client);
    const messages = [{ role: "user", content: "Hi" }];
    const call = client.call("POST", "/v1/chat/completions", { body: { model: MODEL, messages } });
    await (await worker.next()).complete();
    await call;
    const completed = await client.submit();
    await (await worker.next()).complete();
    const cancelled = await client.submit();
    await client.call("POST", `/v1/jobs/${cancelled}/cancel`);

    const deliveries = await deliveriesAt(client, `${ENDPOINTS}/${id}/deliveries`, 2);

    expect(deliveries.map(({ event }) => [event.type, event.data.id])).toEqual(
      expect.arrayContaining([
        ["job.completed", completed],
        ["job.cancelled", cancelled],
      ]),
    );
    expect(deliveries).toHaveLength(2);
    expect(deliveries[0]).toMatchObject({ status: "pending", endpoint_id: id, tries: [] });
  });

  test("is told of a background response as OpenAI tells of it", async ({ client, worker }) => {
    const id = await create(client, { ...FORM, event_types: ["response.*"] });
    const body = { model: MODEL, input: "Hi", background: true };
    const response = await client.call("POST", "/v1/responses", { body });
    await (await worker.next()).complete();

    const [delivery] = await deliveriesAt(client, `${ENDPOINTS}/${id}/deliveries`, 1);

    expect(delivery?.event).toMatchObject({
      type: "response.completed",
      data: { id: response.body["id"] },
    });
  });
});

describe("a job's own webhook", () => {
  const webhook = "https://receiver.example/job?run=7";

  test("is refused until there is a secret to sign it with", async ({ client }) => {
    const request = { model: MODEL, messages: [{ role: "user", content: "Hi" }] };
    const body = { endpoint: "/v1/chat/completions", request, webhook };
    const before = await client.call("GET", "/v1/webhook_secret");
    const refused = await client.call("POST", "/v1/jobs", { body });
    const secret = await client.call("POST", "/v1/webhook_secret");
    const accepted = await client.call("POST", "/v1/jobs", { body });
    const after = await client.call("GET", "/v1/webhook_secret");

    expect(before.body).toMatchObject({ error: { code: "webhook_secret_not_found" } });
    expect(refused.status).toBe(409);
    expect(refused.body).toMatchObject({
      error: { code: "webhook_secret_missing", param: "webhook" },
    });
    expect(secret.body).toMatchObject({ signing_secret: expect.stringMatching(/^whsec_/) });
    expect(accepted.status).toBe(202);
    expect(accepted.body).toMatchObject({ webhook });
    expect(after.text).not.toContain(secret.body["signing_secret"]);
  });

  test("is told of its end, and of that of the job that runs it again", async ({
    client,
    worker,
  }) => {
    await client.call("POST", "/v1/webhook_secret");
    const job = await client.submit({ webhook });
    const error = { message: "broke", type: "server_error", param: null, code: "engine_failed" };
    await (await worker.next()).fail(error);
    const retried = await client.call("POST", `/v1/jobs/${job}/retry`);
    await (await worker.next()).complete();

    const deliveries = await deliveriesAt(client, DELIVERIES, 2);

    expect(deliveries.map(({ event, url }) => [event.type, event.data.id, url])).toEqual(
      expect.arrayContaining([
        ["job.failed", job, webhook],
        ["job.completed", retried.body["id"], webhook],
      ]),
    );
  });

  test("can be sent again, one by one", async ({ client, worker }) => {
    await client.call("POST", "/v1/webhook_secret");
    await client.submit({ webhook });
    await (await worker.next()).complete();
    const [delivery] = await deliveriesAt(client, DELIVERIES, 1);

    const path = `${DELIVERIES}/${delivery?.id}`;
    const replayed = await client.call("POST", `${path}/replay`);
    const read = await client.call("GET", path);
    const unknown = await client.call("POST", `${DELIVERIES}/whd_none/replay`);

    expect(replayed.body).toMatchObject({ id: delivery?.id, status: "pending" });
    expect(read.body).toMatchObject({ id: delivery?.id });
    expect(unknown.body).toMatchObject({ error: { code: "webhook_delivery_not_found" } });
  });

  test.for([
    "http://[::1",
    "mailto:a@b.example",
    "https://a:b@c.example/",
    "",
    "http://receiver.example/",
    "https://receiver.example:22/",
    "https://10.0.0.1/",
    "https://2130706433/",
    "http://169.254.169.254/latest/meta-data",
  ])("is refused where it cannot be: %j", async (url, { client }) => {
    const request = { model: MODEL, messages: [{ role: "user", content: "Hi" }] };
    const body = { endpoint: "/v1/chat/completions", request, webhook: url };
    const answer = await client.call("POST", "/v1/jobs", { body });

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param: "webhook" } });
  });
});
