import { apiKeySchema, keyListSchema, newKeySchema } from "@headrace/contract";
import { describe, expect } from "vitest";

import { Ingress } from "./ingress.ts";
import { TestClient } from "./testing/client.ts";
import { ingressTest as test, testConfig } from "./testing/ingress-test.ts";
import { makeKey } from "./testing/tenants.ts";

/** Longest that a change of a key may take to be known to every ingress. */
const KNOWN_WITHIN_MS = 1_000;

describe("a key", () => {
  test("is shown once, and works at once", async ({ client, redis }) => {
    const made = await makeKey(client, { tenant: "acme", name: "Acme's backend" });

    const job = await made.client.submit();
    const read = await client.call("GET", `/admin/v1/keys/${made.id}`);

    expect(made.key).toMatch(/^hr_[0-9a-hjkmnp-tv-z]{8}_[0-9a-hjkmnp-tv-z]{48}$/);
    expect(job).toMatch(/^job_/);
    expect(apiKeySchema.strict().parse(read.body)).toMatchObject({
      id: made.id,
      object: "api_key",
      name: "Acme's backend",
      tenant: "acme",
      scopes: ["submit", "read"],
      limits: null,
      status: "active",
      last_used_at: null,
      revoked_at: null,
    });
    const kept = JSON.stringify([
      await redis.hgetall("hr:{keys}:by-id"),
      await redis.xrange("hr:{keys}:audit", "-", "+"),
      await redis.hgetall("hr:{keys}:tenants"),
    ]);
    expect(kept).toContain("Acme's backend");
    expect(kept).not.toContain(made.key.split("_")[2]);
  });

  test("is made once under one Idempotency-Key, whose repetition says which it was", async ({
    client,
  }) => {
    const headers = { "idempotency-key": "a lost answer" };
    const make = (body: object) => client.call("POST", "/admin/v1/keys", { body, headers });
    const [first, second] = await Promise.all([make({ name: "one" }), make({ name: "one" })]);
    const [made, told] = first.status === 201 ? [first, second] : [second, first];
    const other = await make({ name: "two" });
    const { id } = newKeySchema.parse(made.body);
    const list = keyListSchema.parse((await client.call("GET", "/admin/v1/keys")).body);
    await client.call("POST", `/admin/v1/keys/${id}/rotate`, { body: { overlap_seconds: 0 } });
    const again = await make({ name: "one" });

    expect(list.data.map((key) => key.id)).toEqual([id]);
    for (const answer of [told, again]) {
      expect([answer.status, answer.body]).toMatchObject([
        409,
        { error: { code: "key_exists", message: expect.stringContaining(`/keys/${id}/rotate`) } },
      ]);
      expect(answer.headers.get("x-should-retry")).toBe("false");
    }
    expect([other.status, other.body]).toMatchObject([
      422,
      { error: { code: "idempotency_key_reused" } },
    ]);
  });

  test("is kept with the jobs that come with it", async ({ client, worker }) => {
    const made = await makeKey(client, { tenant: "acme" });
    await made.client.submit();
    const { attempt } = await worker.next();

    expect(attempt.spec).toMatchObject({ tenant: "acme", key: made.id });
  });

  test("is wrong in any other secret, id or form, in the same words", async ({ client }) => {
    const made = await makeKey(client);
    const swapped = made.key.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    const wrong = [
      swapped,
      `${made.key}0`,
      made.key.slice(0, -1),
      made.key.toUpperCase(),
      made.key.replace(made.id, "00000000"),
      made.id,
      `hr_${made.id}_`,
    ];

    const answers = await Promise.all(wrong.map((key) => client.with(key).call("GET", "/v1/jobs")));

    expect(answers.map(({ status }) => status)).toEqual(wrong.map(() => 401));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect((await made.client.call("GET", "/v1/jobs")).status).toBe(200);
  });

  test.for([
    ["submit", "POST", "/v1/jobs", 400],
    ["submit", "POST", "/v1/chat/completions", 400],
    ["submit", "POST", "/v1/jobs/x/cancel", 404],
    ["submit", "POST", "/v1/jobs/x/retry", 404],
    ["submit", "DELETE", "/v1/jobs/x", 404],
    ["read", "GET", "/v1/jobs", 200],
    ["read", "GET", "/v1/jobs/x", 404],
    ["read", "GET", "/v1/jobs/x/events", 404],
    ["read", "GET", "/v1/models", 200],
    ["admin", "GET", "/admin/v1/keys", 200],
    ["admin", "POST", "/admin/v1/keys", 400],
    ["admin", "GET", "/admin/v1/audit", 200],
  ] as const)("needs the scope %s to %s %s", async ([scope, method, path, status], { client }) => {
    const body = method === "POST" && !path.includes("/x/") ? { body: {} } : {};
    const others = (["submit", "read", "admin"] as const).filter((other) => other !== scope);
    const right = await makeKey(client, { scopes: [scope] });
    const wrong = await makeKey(client, { scopes: others });

    const allowed = await right.client.call(method, path, body);
    const denied = await wrong.client.call(method, path, body);

    expect(allowed.status).toBe(status);
    expect(denied.status).toBe(403);
    expect(denied.body).toMatchObject({
      error: { code: "scope_missing", type: "permission_error", param: null },
    });
    expect(denied.text).toContain(`needs a key with the scope ${scope}`);
  });

  test("keeps its old secret for the overlap after a rotation", async ({ client }) => {
    const old = await makeKey(client);
    const path = `/admin/v1/keys/${old.id}/rotate`;
    const answer = await client.call("POST", path, { body: { overlap_seconds: 1.5 } });
    const rotated = newKeySchema.parse(answer.body);
    const fresh = client.with(rotated.key);

    const during = await Promise.all(
      [old.client, fresh].map((each) => each.call("GET", "/v1/jobs")),
    );
    await expect
      .poll(async () => (await old.client.call("GET", "/v1/jobs")).status, { timeout: 4_000 })
      .toBe(401);
    const after = await fresh.call("GET", "/v1/jobs");

    expect(rotated).toMatchObject({ id: old.id, status: "active" });
    expect(rotated.key).not.toBe(old.key);
    expect(rotated.overlap_ends_at ?? 0).toBeCloseTo((rotated.rotated_at ?? 0) + 1.5, 1);
    expect(during.map(({ status }) => status)).toEqual([200, 200]);
    expect(Date.now() / 1_000).toBeGreaterThanOrEqual(rotated.overlap_ends_at ?? 0);
    expect(after.status).toBe(200);
  });

  test("has its new secret known to every ingress at once", async ({ client, otherIngress }) => {
    const made = await makeKey(client);
    const elsewhere = new TestClient(otherIngress.port, made.key);
    await made.client.call("GET", "/v1/jobs");
    await elsewhere.call("GET", "/v1/jobs");

    const rotated = await client.call("POST", `/admin/v1/keys/${made.id}/rotate`);
    const { key } = newKeySchema.parse(rotated.body);
    const answers = await Promise.all(
      [made.client, elsewhere].map((each) => each.with(key).call("GET", "/v1/jobs")),
    );

    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  });

  test("overlaps for a day unless said, and ends every earlier secret with none", async ({
    client,
  }) => {
    const first = await makeKey(client);
    const path = `/admin/v1/keys/${first.id}/rotate`;
    const second = newKeySchema.parse((await client.call("POST", path)).body);
    const overlap = (second.overlap_ends_at ?? 0) - (second.rotated_at ?? 0);
    await client.with(second.key).call("GET", "/v1/jobs");

    const ended = await client.call("POST", path, { body: { overlap_seconds: 0 } });
    const third = newKeySchema.parse(ended.body);

    expect(overlap).toBeCloseTo(24 * 3_600, 0);
    expect(third.overlap_ends_at).toBeNull();
    for (const { key } of [first, second]) {
      await expect
        .poll(async () => (await client.with(key).call("GET", "/v1/jobs")).status, {
          timeout: KNOWN_WITHIN_MS,
        })
        .toBe(401);
    }
    expect((await client.with(third.key).call("GET", "/v1/jobs")).status).toBe(200);
  });

  test("has four earlier secrets at the most, so that a repeated rotation ends none in use", async ({
    client,
  }) => {
    const made = await makeKey(client);
    const path = `/admin/v1/keys/${made.id}/rotate`;

    const answers = [];
    for (let count = 0; count < 5; count += 1) answers.push(await client.call("POST", path));

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 409]);
    expect(answers[4]?.body).toMatchObject({
      error: { code: "key_rotating", param: "overlap_seconds" },
    });
    expect((await made.client.call("GET", "/v1/jobs")).status).toBe(200);
  });

  test("changes what is given and keeps the rest", async ({ client }) => {
    const limits = { requests_per_minute: 60, models: { a: { tokens_per_minute: 5 } } };
    const made = await makeKey(client, { name: "before", limits });
    const path = `/admin/v1/keys/${made.id}`;

    const renamed = await client.call("POST", path, { body: { name: "after", scopes: ["read"] } });
    const freed = await client.call("POST", path, { body: { limits: null } });

    expect(renamed.body).toMatchObject({ name: "after", scopes: ["read"], limits });
    expect(freed.body).toMatchObject({ name: "after", scopes: ["read"], limits: null });
    await expect
      .poll(async () => (await made.client.call("POST", "/v1/jobs", { body: {} })).status, {
        timeout: KNOWN_WITHIN_MS,
      })
      .toBe(403);
  });

  test("loses no change that is made beside another", async ({ client }) => {
    const made = await makeKey(client);
    const path = `/admin/v1/keys/${made.id}`;

    const answers = await Promise.all([
      client.call("POST", path, { body: { name: "renamed" } }),
      client.call("POST", path, { body: { scopes: ["read"] } }),
      client.call("POST", path, { body: { limits: { queued_jobs: 3 } } }),
      client.call("POST", `${path}/rotate`, { body: {} }),
    ]);

    const read = await client.call("GET", path);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(read.body).toMatchObject({
      name: "renamed",
      scopes: ["read"],
      limits: { queued_jobs: 3 },
      overlap_ends_at: expect.any(Number),
    });
  });

  test("tells when it was last used, to the minute", async ({ client, redisServer, logs }) => {
    const made = await makeKey(client);
    const other = await Ingress.start(testConfig(redisServer.url, logs));
    await new TestClient(other.port, made.key).call("GET", "/v1/jobs");

    await other.close();

    const read = apiKeySchema.parse((await client.call("GET", `/admin/v1/keys/${made.id}`)).body);
    expect(read.last_used_at).toBeCloseTo(Date.now() / 1_000, -1);
  });
});

describe("the list of keys", () => {
  test("has them newest first, of all or of one tenant, in pages", async ({ client }) => {
    const ids: string[] = [];
    for (const tenant of ["acme", "globex", "acme", "acme"]) {
      ids.push((await makeKey(client, { tenant })).id);
    }
    const list = async (query: string): Promise<unknown> => {
      const page = keyListSchema.parse((await client.call("GET", `/admin/v1/keys${query}`)).body);
      return { ids: page.data.map(({ id }) => id), has_more: page.has_more };
    };

    const newestFirst = ids.toReversed();
    expect(await list("")).toEqual({ ids: newestFirst, has_more: false });
    expect(await list("?limit=3")).toEqual({ ids: newestFirst.slice(0, 3), has_more: true });
    expect(await list(`?limit=3&after=${ids[1]}`)).toEqual({ ids: [ids[0]], has_more: false });
    expect(await list("?tenant=acme")).toEqual({ ids: [ids[3], ids[2], ids[0]], has_more: false });
    expect(await list("?tenant=nobody")).toEqual({ ids: [], has_more: false });
  });
});

describe("a tenant", () => {
  test("is there once it has a key or a weight", async ({ client }) => {
    await makeKey(client, { tenant: "acme" });
    const unknown = await client.call("GET", "/admin/v1/tenants/globex");
    const set = await client.call("POST", "/admin/v1/tenants/globex", { body: { weight: 2.5 } });
    const list = await client.call("GET", "/admin/v1/tenants");
    const page = await client.call("GET", "/admin/v1/tenants?limit=1&after=acme");

    expect(unknown.status).toBe(404);
    expect(unknown.body).toMatchObject({ error: { code: "tenant_not_found" } });
    expect(set.body).toEqual({ id: "globex", object: "tenant", weight: 2.5 });
    expect(list.body["data"]).toEqual([
      { id: "acme", object: "tenant", weight: 1 },
      { id: "default", object: "tenant", weight: 1 },
      { id: "globex", object: "tenant", weight: 2.5 },
    ]);
    expect(page.body).toMatchObject({ data: [{ id: "default" }], has_more: true });
  });
});
