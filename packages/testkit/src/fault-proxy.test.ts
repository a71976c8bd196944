import { Redis } from "ioredis";
import { describe, expect } from "vitest";

import { FaultProxy } from "./fault-proxy.ts";
import { redisTest } from "./redis-test.ts";

const ANSWER_MS = 200;

const test = redisTest
  .extend("proxy", async ({ redisServer }, { onCleanup }) => {
    const proxy = await FaultProxy.start(redisServer.port);
    onCleanup(() => proxy.close());
    return proxy;
  })
  .extend("client", async ({ proxy, redis }, { onCleanup }) => {
    await redis.ping();
    const client = new Redis(proxy.port, "127.0.0.1", {
      retryStrategy: () => 1,
      maxRetriesPerRequest: 0,
      commandTimeout: ANSWER_MS,
    });
    client.on("error", () => {});
    onCleanup(() => client.disconnect());
    await client.ping();
    return client;
  });

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe("FaultProxy", () => {
  test("passes everything, large or small", async ({ client }) => {
    const value = "x".repeat(3_000_000);

    await client.set("k", value);

    expect(await client.get("k")).toBe(value);
  });

  test("holds answers up", async ({ client, proxy }) => {
    proxy.latencyMs = 40;
    const askedAt = performance.now();

    await client.ping();

    expect(performance.now() - askedAt).toBeGreaterThanOrEqual(79);
  });

  test("drops a reply whose request was carried out, and the connection with it", async ({
    client,
    proxy,
    redis,
  }) => {
    proxy.dropReplies(1, "incr");

    await client.get("other");
    const lost = await failure(client.incr("k"));

    expect(lost).toBeInstanceOf(Error);
    expect(await redis.get("k")).toBe("1");
    expect(proxy.dropped).toBe(1);
    await expect.poll(() => failure(client.incr("k"))).toBeNull();
  });

  test("resets connections that can be made again", async ({ client, proxy }) => {
    const closed = new Promise((resolve) => client.once("close", resolve));

    expect(proxy.reset()).toBe(1);

    await closed;
    await expect.poll(() => failure(client.ping())).toBeNull();
    await expect.poll(() => proxy.connections).toBe(1);
  });

  test("cuts a reply in the middle", async ({ client, proxy, redis }) => {
    await redis.set("k", "x".repeat(1_000));
    proxy.cutAfter(500);

    const cut = await failure(client.get("k"));
    proxy.heal();

    expect(cut).toBeInstanceOf(Error);
    await expect.poll(() => failure(client.get("k"))).toBeNull();
  });

  test("takes everything and passes nothing as a black hole", async ({ client, proxy, redis }) => {
    proxy.blackHole();

    const unanswered = await failure(client.set("k", "v"));
    proxy.heal();

    expect(unanswered).toMatchObject({ message: "Command timed out" });
    expect(await redis.exists("k")).toBe(0);
    expect(proxy.connections).toBe(1);
  });

  test("loses nothing while it does not read", async ({ client, proxy, redis }) => {
    proxy.stopReading();

    const unanswered = await failure(client.set("k", "v"));
    const before = await redis.exists("k");
    proxy.heal();

    expect(unanswered).toMatchObject({ message: "Command timed out" });
    expect(before).toBe(0);
    await expect.poll(() => redis.get("k")).toBe("v");
  });

  test("tells who waits for a word that it has passed", async ({ client, proxy }) => {
    let seen = 0;
    proxy.watchFor("secret word", () => (seen += 1));

    await client.echo("another word");
    await client.echo("the secret word");

    expect(seen).toBe(1);
  });
});
