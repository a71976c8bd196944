import { auditListSchema } from "@headrace/contract";
import { describe, expect } from "vitest";

import { ingressTest as test } from "./testing/ingress-test.ts";
import { makeKey } from "./testing/tenants.ts";

const past = Math.floor(Date.now() / 1_000) - 60;

/** Bodies of `POST /admin/v1/keys`, with the field at fault and what is said of it. */
const CREATES: readonly (readonly [string, unknown, string | null, RegExp])[] = [
  ["nothing", {}, "name", /required/],
  ["a list", [], null, /expected object, found array/],
  ["an empty name", { name: "  " }, "name", /at least 1/],
  ["a long name", { name: "x".repeat(101) }, "name", /at most 100 characters, found 101/],
  ["a name that steers terminals", { name: "a\u001B[2Jb" }, "name", /no control characters/],
  ["a tenant with a brace", { name: "a", tenant: "x}" }, "tenant", /expected up to 64 letters/],
  ["a tenant with a colon", { name: "a", tenant: "a:b" }, "tenant", /expected up to 64 letters/],
  ["an empty tenant", { name: "a", tenant: "" }, "tenant", /expected up to 64 letters/],
  ["a long tenant", { name: "a", tenant: "x".repeat(65) }, "tenant", /expected up to 64/],
  ["no scopes", { name: "a", scopes: [] }, "scopes", /at least 1/],
  ["an unknown scope", { name: "a", scopes: ["read", "write"] }, "scopes[1]", /submit/],
  ["a scope twice", { name: "a", scopes: ["read", "read"] }, "scopes", /each scope once/],
  ["scopes in a text", { name: "a", scopes: "read" }, "scopes", /expected array, found string/],
  ["an expiry that is over", { name: "a", expires_at: past }, "expires_at", /still to come/],
  ["an expiry in words", { name: "a", expires_at: "2027-01-01" }, "expires_at", /found string/],
  ["an unknown field", { name: "a", limit: {} }, "limit", /unknown field/],
  ["limits in a list", { name: "a", limits: [] }, "limits", /expected object, found array/],
  ["an unknown limit", { name: "a", limits: { jobs: 1 } }, "limits.jobs", /unknown field/],
  [
    "a limit of nothing",
    { name: "a", limits: { queued_jobs: 0 } },
    "limits.queued_jobs",
    /at least 1, found 0/,
  ],
  [
    "half a request",
    { name: "a", limits: { requests_per_minute: 1.5 } },
    "limits.requests_per_minute",
    /found number 1.5/,
  ],
  [
    "a cost below nothing",
    { name: "a", limits: { monthly_cost: -1 } },
    "limits.monthly_cost",
    /at least|found -1/,
  ],
  [
    "a limit of a model that there is none of",
    { name: "a", limits: { models: { m: { queued_jobs: 1 } } } },
    "limits.models.m.queued_jobs",
    /unknown field/,
  ],
  [
    "limits of too many models",
    {
      name: "a",
      limits: { models: Object.fromEntries(Array.from({ length: 65 }, (_none, at) => [at, {}])) },
    },
    "limits.models",
    /at most 64 models/,
  ],
];

/** Other calls: method, path after `/admin/v1/`, body; then status, code and field. */
const CALLS: readonly (readonly [string, string, unknown, number, string, string | null])[] = [
  ["POST", "keys/KEY", {}, 400, "request_invalid", null],
  ["POST", "keys/KEY", { tenant: "b" }, 400, "request_invalid", "tenant"],
  ["POST", "keys/KEY", { name: null }, 400, "request_invalid", "name"],
  ["POST", "keys/KEY", { expires_at: past }, 400, "request_invalid", "expires_at"],
  ["POST", "keys/KEY", { limits: { x: 1 } }, 400, "request_invalid", "limits.x"],
  ["POST", "keys/KEY/rotate", { overlap_seconds: -1 }, 400, "request_invalid", "overlap_seconds"],
  ["POST", "keys/KEY/rotate", { overlap_seconds: 1e9 }, 400, "request_invalid", "overlap_seconds"],
  ["POST", "keys/KEY/rotate", { overlap: 1 }, 400, "request_invalid", "overlap"],
  ["POST", "keys/KEY/revoke", { now: true }, 400, "request_invalid", "now"],
  ["POST", "keys/00000000", { name: "a" }, 404, "key_not_found", null],
  ["POST", "keys/00000000/rotate", undefined, 404, "key_not_found", null],
  ["POST", "keys/00000000/revoke", undefined, 404, "key_not_found", null],
  ["DELETE", "keys/00000000", undefined, 404, "key_not_found", null],
  ["GET", "keys/00000000", undefined, 404, "key_not_found", null],
  ["GET", "keys/%00%7Bkeys%7D", undefined, 404, "key_not_found", null],
  ["GET", "keys/__proto__", undefined, 404, "key_not_found", null],
  ["GET", "keys/root", undefined, 404, "key_not_found", null],
  ["GET", "keys?limit=0", undefined, 400, "request_invalid", "limit"],
  ["GET", "keys?limit=101", undefined, 400, "request_invalid", "limit"],
  ["GET", "keys?after=x", undefined, 400, "request_invalid", "after"],
  ["GET", "keys?after=00000000", undefined, 404, "key_not_found", "after"],
  ["GET", "keys?tenant=a%20b", undefined, 400, "request_invalid", "tenant"],
  ["GET", "keys?status=active", undefined, 400, "request_invalid", "status"],
  ["GET", "tenants/nobody", undefined, 404, "tenant_not_found", null],
  ["GET", "tenants?after=%7B", undefined, 400, "request_invalid", "after"],
  ["POST", "tenants/acme", {}, 400, "request_invalid", "weight"],
  ["POST", "tenants/acme", { weight: 0 }, 400, "request_invalid", "weight"],
  ["POST", "tenants/acme", { weight: 101 }, 400, "request_invalid", "weight"],
  ["POST", "tenants/acme", { weight: "2" }, 400, "request_invalid", "weight"],
  ["POST", "tenants/acme", { weight: 1, quota: 1 }, 400, "request_invalid", "quota"],
  ["POST", "tenants/a%7Db", { weight: 1 }, 400, "request_invalid", "tenant"],
  ["GET", "audit?after=now", undefined, 400, "request_invalid", "after"],
  ["GET", "audit?limit=-1", undefined, 400, "request_invalid", "limit"],
];

describe("an operator's call", () => {
  test.for(CREATES)(
    "does not make a key of %s",
    async ([, body, param, message], { client, redis }) => {
      const answer = await client.call("POST", "/admin/v1/keys", { body });

      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        error: {
          type: "invalid_request_error",
          code: "request_invalid",
          param,
          message: expect.stringMatching(message),
        },
      });
      expect(await redis.exists("hr:{keys}:by-id", "hr:{keys}:tenants")).toBe(0);
    },
  );

  test.for(CALLS)("%s %s with %j is answered %i %s", async (call, { client }) => {
    const [method, path, body, status, code, param] = call;
    const { id } = await makeKey(client);

    const place = `/admin/v1/${path.replace("KEY", id)}`;
    const answer = await client.call(method, place, body === undefined ? {} : { body });

    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ error: { code, param } });
  });

  test("is kept as not known to be done where Redis does not say", async ({
    client,
    redis,
    logs,
  }) => {
    const made = await makeKey(client);
    // Scripts are refused as a failing disk has them refused.
    await redis.acl("SETUSER", "default", "-evalsha", "-eval");
    const answer = await client.call("POST", `/admin/v1/keys/${made.id}/revoke`);
    await redis.acl("SETUSER", "default", "+@all");

    const audit = auditListSchema.parse((await client.call("GET", "/admin/v1/audit")).body).data;
    expect(answer.status).toBe(503);
    expect(audit[0]).toMatchObject({
      action: "key.revoke",
      target: made.id,
      outcome: "unknown",
      error_code: "queue_unavailable",
    });
    expect(logs.text).toContain("key.revoke unknown");
  });
});
