import { describe, expect } from "vitest";

import { AddressLimit } from "./address-limit.ts";
import { clientAddressOf } from "./client-address.ts";
import { Ingress } from "./ingress.ts";
import { TestClient, type Answer } from "./testing/client.ts";
import { readMetric } from "./testing/exposition.ts";
import { API_KEY, ingressTest as test, testConfig } from "./testing/ingress-test.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const HERE = "192.0.2.1";
const JOB = {
  endpoint: "/v1/chat/completions",
  request: { model: MODEL, messages: [{ role: "user", content: "Hi" }] },
};

const submitFrom = (client: TestClient, address: string): Promise<Answer> =>
  client.call("POST", "/v1/jobs", { body: JOB, headers: { "x-forwarded-for": address } });

/** How many requests are let in at once. */
function countAdmitted(limit: AddressLimit, address: string): number {
  for (let count = 0; ; count += 1) {
    try {
      limit.admit(address);
    } catch {
      return count;
    }
  }
}

describe("AddressLimit", () => {
  test("lets a minute's worth in at once, and it comes back evenly", () => {
    let nowMs = 0;
    const limit = new AddressLimit(60, () => nowMs);
    const first = countAdmitted(limit, HERE);
    nowMs += 10_000;
    const afterTen = countAdmitted(limit, HERE);
    nowMs += 600_000;

    expect([first, afterTen, countAdmitted(limit, HERE)]).toEqual([60, 10, 60]);
  });

  test("says when the next request would be let in", () => {
    let nowMs = 0;
    const limit = new AddressLimit(60, () => nowMs);
    countAdmitted(limit, HERE);
    nowMs += 250;

    expect(() => limit.admit(HERE)).toThrow(
      expect.objectContaining({ code: "rate_limit_exceeded", waitMs: 750, reason: "address" }),
    );
    nowMs += 750;
    expect(() => limit.admit(HERE)).not.toThrow();
  });

  test.for([
    [600_000, 600],
    [6_000, 600],
    [10, 10],
  ] as const)(
    "of %i requests a minute lets no more than %i wrong keys be tried",
    ([perMinute, tries]) => {
      const limit = new AddressLimit(perMinute, () => 0);
      let count = 0;
      for (; ; count += 1) {
        try {
          limit.admit(HERE);
          limit.countWrongKey(HERE);
        } catch {
          break;
        }
      }

      expect(count).toBe(tries);
    },
  );

  test("remembers so many addresses and no more, forgetting whoever was silent for longest", () => {
    const limit = new AddressLimit(2, () => 0);
    limit.admit("silent");
    limit.admit("silent");
    for (let i = 0; i < 60_000; i += 1) {
      limit.admit(`2001:db8:${i.toString(16)}::/64`);
      if (i % 10_000 === 0) countAdmitted(limit, "busy");
    }

    expect(limit.size).toBe(50_000);
    expect(countAdmitted(limit, "busy")).toBe(0);
    expect(countAdmitted(limit, "silent")).toBe(2);
  });
});

describe("requests from one address", () => {
  const limited = test.extend("start", ({ redisServer, worker: _registered, logs }, {
    onCleanup,
  }) => {
    return async (addressLimit: number, trustedProxies: readonly string[]) => {
      const config = { ...testConfig(redisServer.url, logs), addressLimit, trustedProxies };
      const ingress = await Ingress.start(config);
      onCleanup(() => ingress.close());
      return { ingress, client: new TestClient(ingress.port, API_KEY) };
    };
  });

  limited("are counted by what a trusted proxy says", async ({ start }) => {
    const { client } = await start(1, ["loopback"]);

    const statuses = [
      await submitFrom(client, "192.0.2.1"),
      await submitFrom(client, "192.0.2.1"),
      await submitFrom(client, "192.0.2.2"),
      // What stands before the proxy's own word is anybody's.
      await submitFrom(client, "192.0.2.9, 192.0.2.2"),
    ].map(({ status }) => status);

    expect(statuses).toEqual([202, 429, 202, 429]);
  });

  limited("are not counted by what a caller says", async ({ start }) => {
    const { client } = await start(1, []);

    const statuses = [
      await submitFrom(client, "192.0.2.1"),
      await submitFrom(client, "192.0.2.2"),
    ].map(({ status }) => status);

    expect(statuses).toEqual([202, 429]);
  });

  limited("count whatever they ask, with a key or without", async ({ start }) => {
    const { client, ingress } = await start(6, []);
    const calls = [
      ["GET", "/v1/jobs"],
      ["GET", "/v1/nothing"],
      ["PUT", "/v1/jobs"],
      ["GET", "/docs"],
      ["POST", "/v1/jobs"],
    ] as const;

    for (const [method, path] of calls) await client.call(method, path);
    const wrong = await client.with("wrong").call("GET", "/v1/jobs");
    const refused = await client.call("GET", "/v1/jobs");
    const probe = await client.call("GET", "/readyz");

    expect(wrong.status).toBe(401);
    expect(refused.status).toBe(429);
    expect(refused.body).toMatchObject({ error: { code: "rate_limit_exceeded" } });
    expect(refused.headers.get("retry-after")).toBe("10");
    expect(probe.status).toBe(200);
    expect(await readMetric(ingress, 'headrace_refusals_total{reason="address"}')).toBe(1);
  });

  limited("with a wrong key cost more", async ({ start }) => {
    const { client } = await start(60_000, []);
    const stranger = client.with("hr_0123456789abcdef_wrong");
    let tries = 0;
    while ((await stranger.call("GET", "/v1/jobs")).status === 401) tries += 1;

    // Ten more each second that the test takes.
    expect(tries).toBeGreaterThanOrEqual(600);
    expect(tries).toBeLessThan(800);
  });

  limited.for([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ])("are all of a network's: %s counts as %s", ([ip, counted]) => {
    expect(clientAddressOf({ request: { ip } })).toBe(counted);
  });
});
