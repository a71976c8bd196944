import { setImmediate as afterEvents } from "node:timers/promises";

import { describe, expect, onTestFinished } from "vitest";

import { Ingress } from "./ingress.ts";
import { TenantTurns } from "./tenant-turns.ts";
import { TestClient } from "./testing/client.ts";
import { API_KEY, ingressTest as test, testConfig } from "./testing/ingress-test.ts";
import { makeKey } from "./testing/tenants.ts";

/** Work that the test ends. */
class Works {
  readonly started: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<void>>();

  take(turns: TenantTurns, tenant: string, name: string): Promise<void> {
    const end = Promise.withResolvers<void>();
    this.#ends.set(name, end);
    return turns.take(tenant, () => {
      this.started.push(name);
      return end.promise;
    });
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.resolve();
    await afterEvents();
  }

  async fail(name: string): Promise<void> {
    this.#ends.get(name)?.reject(new Error("it failed"));
    await afterEvents();
  }
}

describe("TenantTurns", () => {
  test("lets so many begin at once, and the others in their order, whatever comes of any", async () => {
    const turns = new TenantTurns({ atOnce: 2, waiting: 2 });
    const works = new Works();
    const taken = ["a", "b", "c", "d"].map((name) => works.take(turns, "acme", name));
    await afterEvents();
    const atFirst = [...works.started];
    const failure = taken[1]?.catch((error: unknown) => error);
    await works.fail("b");
    const afterOne = [...works.started];
    for (const name of ["a", "c", "d"]) await works.end(name);

    expect(await failure).toMatchObject({ message: "it failed" });
    expect([atFirst, afterOne, works.started]).toEqual([
      ["a", "b"],
      ["a", "b", "c"],
      ["a", "b", "c", "d"],
    ]);
  });

  test("refuses who would wait in too long a line, and keeps no other tenant waiting", async () => {
    const turns = new TenantTurns({ atOnce: 1, waiting: 1 });
    const works = new Works();
    const taken = ["a", "b"].map((name) => works.take(turns, "acme", name));

    await expect(works.take(turns, "acme", "c")).rejects.toMatchObject({ code: "share_exceeded" });
    const other = works.take(turns, "other", "d");
    await afterEvents();
    for (const name of ["a", "b", "d"]) await works.end(name);
    await Promise.all([...taken, other]);

    expect(works.started).toEqual(["a", "d", "b"]);
  });

  test("lets as many begin again once all have ended", async () => {
    const turns = new TenantTurns({ atOnce: 1, waiting: 0 });
    for (const round of ["one", "two"]) await turns.take("acme", () => round);

    await expect(turns.take("acme", () => "three")).resolves.toBe("three");
  });
});

test("one tenant's reads wait for each other, and nobody else's do", async ({
  redisServer,
  logs,
  worker: _registered,
}) => {
  const config = { ...testConfig(redisServer.url, logs), reads: { atOnce: 1, waiting: 2 } };
  const ingress = await Ingress.start(config);
  onTestFinished(() => ingress.close());
  const client = new TestClient(ingress.port, API_KEY);
  const other = (await makeKey(client, { tenant: "acme" })).client;
  await other.call("GET", "/v1/jobs");
  const id = await client.submit();

  redisServer.signal("SIGSTOP");
  const reading = [
    "/v1/jobs?status=queued",
    "/v1/usage",
    "/v1/files",
    "/v1/batches",
    "/v1/models",
  ].map((path) => client.call("GET", path));
  const refused = await Promise.race(reading);
  const others = other.call("GET", "/v1/jobs");
  redisServer.signal("SIGCONT");
  const statuses = (await Promise.all(reading)).map(({ status }) => status);

  expect(refused).toMatchObject({ status: 429, body: { error: { code: "share_exceeded" } } });
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(statuses.filter((status) => status === 200).length).toBe(3);
  expect((await others).status).toBe(200);
  expect((await client.call("GET", `/v1/jobs/${id}`)).status).toBe(200);
});
