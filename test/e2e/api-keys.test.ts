import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { auditListSchema, keyListSchema } from "@headrace/contract";
import { FaultProxy } from "@headrace/testkit/instruments";
import { describe, expect, onTestFinished, test } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

const PROGRAM = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));
/** What is promised: a revoked key is refused by every ingress within this time. */
const REVOKED_MS = 1_000;

const run = promisify(execFile);

/** `headrace` against a platform. @returns what it wrote to standard output, and to standard error */
async function headrace(
  url: string,
  ...args: string[]
): Promise<{ readonly out: string; readonly err: string }> {
  const env = { HEADRACE_API_KEY: API_KEY, HEADRACE_URL: url };
  const { stdout, stderr } = await run(process.execPath, [PROGRAM, ...args], { env });
  return { out: stdout.trim(), err: stderr };
}

async function statusOf(url: string, key: string, path = "/v1/jobs"): Promise<number> {
  const answer = await fetch(new URL(path, url), {
    headers: { authorization: `Bearer ${key}` },
  });
  await answer.body?.cancel();
  return answer.status;
}

/** Ask again and again until the key is refused. @returns how long that took, ms */
async function untilRefused(url: string, key: string): Promise<number> {
  const beganAt = performance.now();
  while ((await statusOf(url, key)) !== 401) {
    if (performance.now() - beganAt > 10 * REVOKED_MS) throw new Error("it is not refused");
  }
  return performance.now() - beganAt;
}

async function startPlatform(): Promise<Platform> {
  const platform = await Platform.start({ ingresses: 2, workers: 0 });
  onTestFinished(() => platform.stop());
  return platform;
}

describe("API keys", { timeout: 60_000 }, () => {
  test("work on every ingress at once, and on none a second after they are revoked", async () => {
    const platform = await startPlatform();
    const urls = platform.ingresses.map(({ url }) => url);
    const made = await headrace(platform.url, "keys", "create", "A backend", "--tenant", "acme");

    const before = await Promise.all(urls.map((url) => statusOf(url, made.out)));
    const unused = await headrace(platform.url, "keys", "create", "Never used");
    await headrace(platform.url, "keys", "revoke", made.out);
    const tookMs = await Promise.all(urls.map((url) => untilRefused(url, made.out)));
    await headrace(platform.url, "keys", "revoke", unused.out);
    const afterwards = await Promise.all(urls.map((url) => statusOf(url, unused.out)));

    expect(made.out).toMatch(/^hr_[0-9a-z]{8}_[0-9a-z]{48}$/);
    expect(made.err).toContain("of tenant acme may submit, read");
    expect(before).toEqual([200, 200]);
    expect(Math.max(...tookMs)).toBeLessThan(REVOKED_MS);
    expect(afterwards).toEqual([401, 401]);
    const log = platform.ingresses.flatMap(({ lines }) => lines).join("\n");
    expect(log).toContain('"action":"key.create"');
    expect(log).not.toContain(made.out.split("_")[2]);
  });

  test("are refused a second after they are revoked also where Redis does not answer", async () => {
    const platform = await startPlatform();
    const proxy = await FaultProxy.start(platform.redis.port);
    onTestFinished(() => proxy.close());
    const cutOff = await platform.startIngress({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    const { out: key } = await headrace(platform.url, "keys", "create", "A backend");
    // No id is looked for in Redis that cannot be one: 404 tells that the key was taken.
    const isTaken = async (): Promise<boolean> =>
      (await statusOf(cutOff.url, key, "/v1/jobs/none")) === 404;
    const before = await isTaken();

    proxy.stopReading();
    await platform.call(`/admin/v1/keys/${key.split("_")[1]}/revoke`, { method: "POST" });
    const revokedAt = performance.now();
    let lastTakenMs = 0;
    while (performance.now() - revokedAt < 2 * REVOKED_MS) {
      if (await isTaken()) lastTakenMs = performance.now() - revokedAt;
    }
    const whileAway = await statusOf(cutOff.url, key, "/v1/jobs/none");
    proxy.heal();

    expect(before).toBe(true);
    expect(lastTakenMs).toBeGreaterThan(0);
    expect(lastTakenMs).toBeLessThan(REVOKED_MS);
    expect(whileAway).toBe(503);
    await expect.poll(async () => statusOf(cutOff.url, key), { timeout: 10_000 }).toBe(401);
  });

  test("are made, listed, rotated and weighed from the command line", async () => {
    const platform = await startPlatform();
    const call = (...args: string[]): ReturnType<typeof headrace> =>
      headrace(platform.url, ...args);
    const flags = ["--scopes", "read,submit", "--expires", "90d", "--requests-per-minute", "600"];
    const made = await call("keys", "create", "A backend", "--tenant", "acme", "--json", ...flags);
    const { id, key, limits } = JSON.parse(made.out);
    const rotated = await call("keys", "rotate", id, "--overlap", "1h");
    const list = await call("keys", "list");
    const weight = await call("tenants", "set", "acme", "--weight", "2.5");
    const tenants = await call("tenants", "list");
    await call("keys", "revoke", id);
    const left = await call("keys", "list", "--json");
    const all = await call("keys", "list", "--all");

    expect(limits).toEqual({ requests_per_minute: 600 });
    expect(rotated.out).toMatch(new RegExp(`^hr_${id}_`));
    expect(rotated.out).not.toBe(key);
    expect(list.out).toMatch(new RegExp(`${id} +A backend +acme +read,submit .* old secret ends `));
    expect(weight.out).toBe("acme has weight 2.5");
    expect(tenants.out).toMatch(/acme +2\.5/);
    expect(JSON.parse(left.out)).toEqual([]);
    expect(all.out).toContain("revoked");
    const audit = auditListSchema.parse(await (await platform.call("/admin/v1/audit")).json());
    expect(audit.data.map(({ action }) => action)).toEqual([
      "key.revoke",
      "tenant.list",
      "tenant.set",
      "key.list",
      "key.rotate",
      "key.create",
    ]);
  });

  test("survive a Redis that restarts", async () => {
    const platform = await startPlatform();
    const { out: kept } = await headrace(platform.url, "keys", "create", "Kept");
    const { out: ended } = await headrace(platform.url, "keys", "create", "Ended");
    await headrace(platform.url, "keys", "revoke", ended);
    await platform.redis.kill();
    await platform.redis.restart();

    await expect.poll(async () => statusOf(platform.url, kept), { timeout: 10_000 }).toBe(200);
    expect(await statusOf(platform.url, ended)).toBe(401);
    const list = await platform.call("/admin/v1/keys");
    expect(keyListSchema.parse(await list.json()).data).toHaveLength(2);
  });
});
