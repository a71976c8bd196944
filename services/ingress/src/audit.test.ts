import { auditListSchema, newKeySchema } from "@headrace/contract";
import { describe, expect, vi } from "vitest";

import { ingressTest as test } from "./testing/ingress-test.ts";
import { makeKey } from "./testing/tenants.ts";

describe("the audit log", () => {
  test("has who did what, when and how it went, and no secret", async ({ client, logs }) => {
    const operator = await makeKey(client, { name: "ops", scopes: ["admin"] });
    const call = (method: string, path: string, body?: object): Promise<{ status: number }> =>
      operator.client.call(method, `/admin/v1/${path}`, {
        ...(body === undefined ? {} : { body }),
        headers: { "x-request-id": `req-${method}-${path.split("/").at(-1)}` },
      });
    const made = await makeKey(operator.client, { tenant: "acme", name: "before" });
    await call("POST", `keys/${made.id}`, { name: "after" });
    const rotated = await operator.client.call("POST", `/admin/v1/keys/${made.id}/rotate`);
    await call("POST", "tenants/acme", { weight: 3 });
    await call("POST", `keys/${made.id}/revoke`);
    await call("POST", `keys/${made.id}/revoke`);
    await call("POST", `keys/${made.id}`, { name: "too late" });
    await call("DELETE", `keys/${made.id}`);
    await call("POST", "keys", { name: 7 });
    await made.client.call("GET", "/v1/jobs");

    const answer = await client.call("GET", "/admin/v1/audit?limit=100");
    const audit = auditListSchema.parse(answer.body).data.toReversed();

    expect(audit.slice(1).map(({ action, outcome, target }) => [action, outcome, target])).toEqual([
      ["key.create", "done", made.id],
      ["key.update", "done", made.id],
      ["key.rotate", "done", made.id],
      ["tenant.set", "done", "acme"],
      ["key.revoke", "done", made.id],
      ["key.revoke", "done", made.id],
      ["key.update", "refused", made.id],
      ["key.delete", "done", made.id],
      ["key.create", "refused", null],
    ]);
    expect(audit[2]).toMatchObject({
      actor: operator.id,
      tenant: "acme",
      request_id: `req-POST-${made.id}`,
      error_code: null,
      details: { name: { from: "before", to: "after" } },
    });
    expect(audit[4]).toMatchObject({ details: { weight: { from: 1, to: 3 } } });
    expect(audit[7]).toMatchObject({
      error_code: "key_revoked",
      request_id: `req-POST-${made.id}`,
    });
    expect(audit[0]?.at).toBeCloseTo(Date.now() / 1_000, -1);
    const lines = logs.lines.filter(({ fields }) => Object.hasOwn(fields, "audit"));
    // And one of the log's being read, which is not in it yet.
    expect(lines).toHaveLength(audit.length + 1);
    const secrets = [operator.key, made.key, newKeySchema.parse(rotated.body).key].map(
      (key) => key.split("_")[2] ?? "none",
    );
    for (const secret of secrets) {
      expect(answer.text).not.toContain(secret);
      expect(logs.text).not.toContain(secret);
    }
  });

  test("keeps what one key is denied again and again once, and pushes nothing out for it", async ({
    client,
  }) => {
    const curious = await makeKey(client);
    const paths = Array.from({ length: 30 }, (_path, nth) => `/admin/v1/keys/0000000${nth % 10}`);

    const answers = await Promise.all(paths.map((path) => curious.client.call("GET", path)));

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([403]));
    const { body } = await client.call("GET", "/admin/v1/audit?limit=100");
    const denials = auditListSchema.parse(body).data.filter(({ outcome }) => outcome === "denied");
    expect(denials).toMatchObject([{ actor: curious.id, action: "key.read" }]);
  });

  test("has what was looked at, once an hour, and pushes nothing out for it", async ({
    client,
  }) => {
    const operator = await makeKey(client, { name: "ops", scopes: ["admin"] });
    const read = (path: string) => operator.client.call("GET", `/admin/v1/${path}`);
    for (let count = 0; count < 20; count += 1) await read(`keys/${operator.id}`);
    await read("keys/0000000000000000");
    await read("tenants/default");
    await read("audit");

    const entries = await vi.waitFor(async () => {
      const { body } = await client.call("GET", "/admin/v1/audit?limit=100");
      const ofOperator = auditListSchema
        .parse(body)
        .data.filter(({ actor }) => actor === operator.id);
      expect(ofOperator.length).toBeGreaterThanOrEqual(4);
      return ofOperator.toReversed();
    });

    expect(entries).toMatchObject([
      { action: "key.read", outcome: "done", target: operator.id, error_code: null },
      { action: "key.read", outcome: "refused", error_code: "key_not_found" },
      { action: "tenant.read", outcome: "done", target: "default" },
      { action: "audit.read", outcome: "done", target: null },
    ]);
  });

  test("has what was denied, by whom and of what", async ({ client }) => {
    const stranger = await makeKey(client, { scopes: ["submit", "read"] });
    const denied = await Promise.all([
      stranger.client.call("GET", "/admin/v1/keys"),
      stranger.client.call("POST", `/admin/v1/keys/${stranger.key}/rotate`),
      stranger.client.call("GET", "/admin/v1/audit"),
    ]);

    const answer = await client.call("GET", "/admin/v1/audit");
    const audit = auditListSchema.parse(answer.body).data;

    expect(denied.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect(audit.filter(({ outcome }) => outcome === "denied")).toHaveLength(3);
    expect(audit).toContainEqual(
      expect.objectContaining({
        actor: stranger.id,
        action: "key.rotate",
        target: stranger.id,
        outcome: "denied",
        error_code: "scope_missing",
      }),
    );
    expect(answer.text).not.toContain(stranger.key);
  });

  test("has no key that somebody took for the id of one, or for a tenant", async ({
    client,
    logs,
  }) => {
    const { key } = await makeKey(client);
    const spoilt = [`${key}%20`, key.toUpperCase(), `Bearer%20${key}`, "hr_test_0123456789abcdef"];
    for (const name of spoilt) {
      await client.call("POST", `/admin/v1/keys/${name}/revoke`);
      await client.call("POST", `/admin/v1/tenants/${name}`, { body: { weight: 2 } });
    }

    const answer = await client.call("GET", "/admin/v1/audit?limit=100");
    const refused = auditListSchema.parse(answer.body).data.slice(0, spoilt.length * 2);

    expect(refused.map(({ outcome, target }) => [outcome, target])).toEqual(
      spoilt.flatMap(() => [
        ["refused", null],
        ["refused", null],
      ]),
    );
    for (const secret of [key.split("_")[2] ?? "none", "0123456789abcdef"]) {
      expect(answer.text.toLowerCase()).not.toContain(secret);
      expect(logs.text.toLowerCase()).not.toContain(secret);
    }
  });

  test("comes in pages without gap or repeat", async ({ client, redis }) => {
    for (let count = 0; count < 4; count += 1) await makeKey(client);
    await client.call("POST", "/admin/v1/keys", { body: {} });
    // Three entries of one id, each in its own list.
    const [[id, fields] = ["", []]] = await redis.xrevrange("hr:{keys}:audit", "+", "-");
    for (const list of ["hr:{keys}:audit-refused", "hr:{keys}:audit-read"]) {
      await redis.del(list);
      await redis.xadd(list, id, ...fields);
    }

    const ids: string[] = [];
    let after = "";
    for (let count = 0; count < 10; count += 1) {
      const query = after === "" ? "" : `&after=${after}`;
      const answer = await client.call("GET", `/admin/v1/audit?limit=1${query}`);
      const page = auditListSchema.parse(answer.body);
      ids.push(...page.data.map((entry) => entry.id));
      after = page.last_id ?? "";
      if (!page.has_more) break;
    }

    const made = ids.slice(ids.indexOf(id));
    expect(made.slice(0, 3)).toEqual([id, `${id}r`, `${id}v`]);
    expect(made.length).toBe(6);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
