import { usageReportSchema, type UsageReport } from "@headrace/contract";
import { describe, expect } from "vitest";

import { Ingress } from "./ingress.ts";
import { TestClient } from "./testing/client.ts";
import { API_KEY, ingressTest, testConfig } from "./testing/ingress-test.ts";
import { makeKey } from "./testing/tenants.ts";
import { GPU_MS, MODEL, USAGE, type SimulatedWorker } from "./testing/simulated-worker.ts";

/** An hour costs 3,600, so a second costs one. */
const PRICING = { gpuHourPrice: 3_600, currency: "EUR" };

const test = ingressTest.extend(
  "ingress",
  async ({ redisServer, worker: _registered, logs }, { onCleanup }) => {
    const ingress = await Ingress.start({ ...testConfig(redisServer.url, logs), pricing: PRICING });
    onCleanup(() => ingress.close());
    return ingress;
  },
);

async function readUsage(client: TestClient, query = ""): Promise<UsageReport> {
  const { status, body } = await client.call("GET", `/v1/usage${query}`);
  expect(status).toBe(200);
  return usageReportSchema.parse(body);
}

async function runJobs(client: TestClient, worker: SimulatedWorker, count: number): Promise<void> {
  for (let job = 0; job < count; job += 1) {
    await client.submit();
    await (await worker.next()).complete();
  }
}

describe("GET /v1/usage", () => {
  test("tells what each key's jobs of each model came to on each day", async ({
    client,
    worker,
  }) => {
    await runJobs(client, worker, 2);

    await expect.poll(async () => (await readUsage(client)).total.jobs, { timeout: 3_000 }).toBe(2);
    const report = await readUsage(client);

    const sums = {
      jobs: 2,
      input_tokens: 2 * USAGE.prompt_tokens,
      output_tokens: 2 * (USAGE.completion_tokens ?? 0),
      gpu_seconds: (2 * GPU_MS) / 1_000,
      cost: (2 * GPU_MS) / 1_000,
    };
    expect(report).toMatchObject({ object: "usage", tenant: "default", currency: "EUR" });
    expect(report.total).toEqual(sums);
    expect(report.data).toEqual([{ day: report.data[0]?.day, key: "root", model: MODEL, ...sums }]);
    expect(report.data[0]?.day).toMatch(/^\d{4}-\d\d-\d\d$/);
  });

  test("sums over what is not told apart", async ({ client, worker }) => {
    await runJobs(client, worker, 1);
    await expect.poll(async () => (await readUsage(client)).total.jobs, { timeout: 3_000 }).toBe(1);

    const byModel = await readUsage(client, "?group_by=model");
    const before = await readUsage(client, "?from=2026-01-01&to=2026-01-31");

    expect(byModel.data).toMatchObject([{ day: null, key: null, model: MODEL, jobs: 1 }]);
    expect(before).toMatchObject({ from: "2026-01-01", data: [], total: { jobs: 0, cost: 0 } });
  });

  test("is told of four hundred days at most, and of none before 2020", async ({ client }) => {
    const longest = await readUsage(client, "?from=2020-01-01&to=2021-02-03");
    const longer = await client.call("GET", "/v1/usage?from=2020-01-01&to=2021-02-04");

    expect(longest).toMatchObject({ from: "2020-01-01", to: "2021-02-03", data: [] });
    expect(longer.status).toBe(400);
  });

  test("covers the last thirty days unless told otherwise", async ({ client }) => {
    const { from, to } = await readUsage(client, "?to=2026-11-30");

    expect([from, to]).toEqual(["2026-11-01", "2026-11-30"]);
  });

  test("tells an admin of another tenant", async ({ client, worker }) => {
    await runJobs(client, worker, 1);
    await expect.poll(async () => (await readUsage(client)).total.jobs, { timeout: 3_000 }).toBe(1);

    expect(await readUsage(client, "?tenant=other")).toMatchObject({ tenant: "other", data: [] });
  });

  test("tells a key of its own tenant, and nobody else of another", async ({ client, worker }) => {
    const acme = (await makeKey(client, { tenant: "acme" })).client;
    await runJobs(acme, worker, 1);
    await expect.poll(async () => (await readUsage(acme)).total.jobs, { timeout: 3_000 }).toBe(1);

    const own = await readUsage(acme, "?tenant=acme");
    const foreign = await acme.call("GET", "/v1/usage?tenant=default");
    const byAdmin = await readUsage(client, "?tenant=acme");

    expect(own.total.jobs).toBe(1);
    expect(foreign.status).toBe(403);
    expect(foreign.body).toMatchObject({ error: { code: "scope_missing" } });
    expect(byAdmin.data).toEqual(own.data);
    expect((await readUsage(client)).data).toEqual([]);
  });

  test.for([
    ["?from=yesterday", "from"],
    ["?to=2026-02-30", "to"],
    ["?from=2026-11-02&to=2026-11-01", "from"],
    ["?from=2025-01-01&to=2026-11-01", "from"],
    ["?from=2019-12-31&to=2020-01-31", "from"],
    ["?to=2019-12-31", "to"],
    ["?from=0001-01-01", "from"],
    ["?group_by=tenant", "group_by[0]"],
    ["?tenant=", "tenant"],
    ["?days=3", "days"],
  ])("refuses %s, naming the field", async ([query, param], { client }) => {
    const { status, body } = await client.call("GET", `/v1/usage${query}`);

    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: "request_invalid", param } });
  });

  test("requires a key", async ({ ingress }) => {
    const { status } = await new TestClient(ingress.port, `${API_KEY}x`).call("GET", "/v1/usage");

    expect(status).toBe(401);
  });
});
