import type { ApiKey } from "@headrace/contract";
import { describe, expect } from "vitest";

import { json, refuse, serverTest as test, type Answer } from "./test-server.ts";

const key: ApiKey = {
  id: "k3m8x0q2",
  object: "api_key",
  name: "backend",
  tenant: "acme",
  scopes: ["submit"],
  limits: { queued_jobs: 5 },
  status: "active",
  created_at: 1,
  expires_at: null,
  last_used_at: null,
  rotated_at: null,
  overlap_ends_at: null,
  revoked_at: null,
};

const page = (ids: string[], hasMore: boolean): Answer =>
  json(200, {
    object: "list",
    data: ids.map((id) => ({ ...key, id })),
    first_id: ids[0],
    last_id: ids.at(-1),
    has_more: hasMore,
  });

describe("admin", () => {
  test("makes a key once only: a second would be another", async ({ server }) => {
    server.answers = [refuse(503, "queue_unavailable"), json(201, { ...key, key: "hr_x" })];
    const { admin } = server.client();

    await expect(admin.createKey({ name: "backend" })).rejects.toMatchObject({
      code: "queue_unavailable",
    });
    await expect(admin.createKey({ name: "backend" })).resolves.toMatchObject({ key: "hr_x" });
    expect(server.requests).toHaveLength(2);
  });

  test("rotates a key once only", async ({ server }) => {
    server.answers = [refuse(503, "queue_unavailable")];

    await expect(server.client().admin.rotateKey("k3m8x0q2")).rejects.toMatchObject({
      code: "queue_unavailable",
    });
    expect(server.requests.map(({ url }) => url)).toEqual(["/admin/v1/keys/k3m8x0q2/rotate"]);
  });

  test("tries again what is safe to repeat", async ({ server }) => {
    server.answers = [refuse(503, "queue_unavailable"), json(200, { ...key, status: "revoked" })];

    const revoked = await server.client().admin.revokeKey("k3m8x0q2");

    expect(revoked.status).toBe("revoked");
    expect(server.requests).toHaveLength(2);
  });

  test("goes through all keys, page after page", async ({ server }) => {
    server.answers = [page(["a", "b"], true), page(["c"], false)];

    const keys = await Array.fromAsync(server.client().admin.listAllKeys({ tenant: "acme" }));

    expect(keys.map(({ id }) => id)).toEqual(["a", "b", "c"]);
    expect(server.requests.map(({ url }) => url)).toEqual([
      "/admin/v1/keys?tenant=acme",
      "/admin/v1/keys?tenant=acme&after=b",
    ]);
  });

  test("names a tenant in the path as it is", async ({ server }) => {
    server.answers = [json(200, { id: "a.b", object: "tenant", weight: 2 })];

    const tenant = await server.client().admin.setTenant("a/b", { weight: 2 });

    expect(tenant.weight).toBe(2);
    expect(server.requests[0]?.url).toBe("/admin/v1/tenants/a%2Fb");
  });
});
