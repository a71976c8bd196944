import { newKeySchema } from "@headrace/contract";
import { describe, expect } from "vitest";

import { TestClient } from "./testing/client.ts";
import { ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";
import type { SseReader } from "./testing/sse-reader.ts";
import { makeKey } from "./testing/tenants.ts";

/** Longest that a change of a key may take to be known to every ingress. */
const KNOWN_WITHIN_MS = 1_000;

describe("a key that ends", () => {
  test("expires when it was to", async ({ client }) => {
    const made = await makeKey(client, { expires_at: Date.now() / 1_000 + 1 });
    const before = await made.client.call("GET", "/v1/jobs");

    await expect
      .poll(async () => (await made.client.call("GET", "/v1/jobs")).status, { timeout: 3_000 })
      .toBe(401);

    const read = await client.call("GET", `/admin/v1/keys/${made.id}`);
    expect(before.status).toBe(200);
    expect(Date.now() / 1_000).toBeGreaterThanOrEqual(made.expires_at ?? 0);
    expect(read.body).toMatchObject({ status: "expired" });
  });

  test("lives again by a later expiry", async ({ client }) => {
    const made = await makeKey(client, { expires_at: Date.now() / 1_000 + 0.3 });
    await expect
      .poll(async () => (await made.client.call("GET", "/v1/jobs")).status, { timeout: 3_000 })
      .toBe(401);

    await client.call("POST", `/admin/v1/keys/${made.id}`, { body: { expires_at: null } });

    await expect
      .poll(async () => (await made.client.call("GET", "/v1/jobs")).status, {
        timeout: KNOWN_WITHIN_MS,
      })
      .toBe(200);
  });

  test("is refused by every ingress within a second of being revoked, and for good", async ({
    client,
    otherIngress,
  }) => {
    const made = await makeKey(client);
    const elsewhere = new TestClient(otherIngress.port, made.key);
    const before = await Promise.all(
      [made.client, elsewhere].map((each) => each.call("GET", "/v1/jobs")),
    );

    const revoked = await client.call("POST", `/admin/v1/keys/${made.id}/revoke`);
    const revokedAt = performance.now();
    for (const each of [made.client, elsewhere]) {
      await expect
        .poll(async () => (await each.call("GET", "/v1/jobs")).status, {
          interval: 20,
          timeout: 5_000,
        })
        .toBe(401);
    }
    const tookMs = performance.now() - revokedAt;
    const again = await client.call("POST", `/admin/v1/keys/${made.id}/revoke`);
    const update = await client.call("POST", `/admin/v1/keys/${made.id}`, { body: { name: "x" } });
    const rotate = await client.call("POST", `/admin/v1/keys/${made.id}/rotate`);

    expect(before.map(({ status }) => status)).toEqual([200, 200]);
    expect(revoked.body).toMatchObject({ id: made.id, status: "revoked" });
    expect(tookMs).toBeLessThan(KNOWN_WITHIN_MS);
    expect(again.status).toBe(200);
    expect(again.body).toEqual(revoked.body);
    expect([update, rotate].map(({ status }) => status)).toEqual([409, 409]);
    expect(update.body).toMatchObject({ error: { code: "key_revoked" } });
  });

  test.for([
    ["loses a scope", "", { scopes: ["submit"] }],
    ["is rotated without an overlap", "/rotate", { overlap_seconds: 0 }],
  ] as const)(
    "takes its open streams with it when it %s",
    async ([, path, body], { client, otherIngress }) => {
      const made = await makeKey(client);
      const job = await made.client.submit();
      const stream = await new TestClient(otherIngress.port, made.key).stream(
        "GET",
        `/v1/jobs/${job}/events`,
      );
      await stream.next();

      await client.call("POST", `/admin/v1/keys/${made.id}${path}`, { body });

      await expect(stream.rest()).rejects.toThrow("terminated");
    },
  );

  test("keeps its open streams when it is rotated with an overlap, or renamed", async ({
    client,
    worker,
  }) => {
    const made = await makeKey(client);
    const stream = await made.client.stream("GET", `/v1/jobs/${await made.client.submit()}/events`);
    await stream.next();
    await client.call("POST", `/admin/v1/keys/${made.id}/rotate`, {
      body: { overlap_seconds: 60 },
    });
    await client.call("POST", `/admin/v1/keys/${made.id}`, { body: { name: "other" } });
    const run = await worker.next();
    await run.complete();

    expect(await stream.rest()).toContainEqual(expect.objectContaining({ event: "job.completed" }));
  });

  test("takes its open streams with it when it is revoked", async ({ client, otherIngress }) => {
    const made = await makeKey(client);
    const kept = await makeKey(client);
    const job = await made.client.submit();
    const stream = await new TestClient(otherIngress.port, made.key).stream(
      "GET",
      `/v1/jobs/${job}/events`,
    );
    const other = await kept.client.stream("GET", `/v1/jobs/${await kept.client.submit()}/events`);
    await stream.next();

    await client.call("POST", `/admin/v1/keys/${made.id}/revoke`);

    await expect(stream.rest()).rejects.toThrow("terminated");
    expect((await other.next())?.event).toBe("job.queued");
    other.hangUp();
  });

  test("takes its open streams with it when it expires", async ({ client, otherIngress }) => {
    const expiresAt = Date.now() / 1_000 + 1.5;
    const made = await makeKey(client, { expires_at: expiresAt });
    const job = await made.client.submit();
    const elsewhere = new TestClient(otherIngress.port, made.key);
    const stream = await elsewhere.stream("GET", `/v1/jobs/${job}/events`);
    await stream.next();

    await expect(stream.rest()).rejects.toThrow("terminated");
    const lateMs = Date.now() - expiresAt * 1_000;
    expect(lateMs).toBeGreaterThan(0);
    expect(lateMs).toBeLessThan(KNOWN_WITHIN_MS);
  });

  test("takes the streams of an old secret with it at the end of the overlap, and no others", async ({
    client,
    worker,
  }) => {
    const made = await makeKey(client);
    const follow = async (caller: TestClient): Promise<SseReader> => {
      const stream = await caller.stream("GET", `/v1/jobs/${job}/events`);
      await stream.next();
      return stream;
    };
    const job = await made.client.submit();
    const ofOld = await follow(made.client);
    const rotated = await client.call("POST", `/admin/v1/keys/${made.id}/rotate`, {
      body: { overlap_seconds: 1 },
    });
    const ofNew = await follow(client.with(newKeySchema.parse(rotated.body).key));

    await expect(ofOld.rest()).rejects.toThrow("terminated");
    await (await worker.next()).complete();
    expect(await ofNew.rest()).toContainEqual(expect.objectContaining({ event: "job.completed" }));
  });

  test("takes its synchronous calls with it when it is revoked", async ({ client, worker }) => {
    const made = await makeKey(client, { tenant: "acme" });
    const body = { model: MODEL, messages: [{ role: "user", content: "Hi" }] };
    const call = made.client.call("POST", "/v1/chat/completions", { body });
    const run = await worker.next();

    await client.call("POST", `/admin/v1/keys/${made.id}/revoke`);

    await expect(call).rejects.toThrow("fetch failed");
    await expect(run.lost).resolves.toBe("cancelled");
  });

  test("is gone once deleted", async ({ client }) => {
    const made = await makeKey(client);
    await made.client.call("GET", "/v1/jobs");

    const deleted = await client.call("DELETE", `/admin/v1/keys/${made.id}`);
    const read = await client.call("GET", `/admin/v1/keys/${made.id}`);

    expect(deleted.body).toEqual({ id: made.id, object: "api_key", deleted: true });
    expect(read.status).toBe(404);
    expect(read.body).toMatchObject({ error: { code: "key_not_found" } });
    await expect
      .poll(async () => (await made.client.call("GET", "/v1/jobs")).status, {
        timeout: KNOWN_WITHIN_MS,
      })
      .toBe(401);
  });
});
