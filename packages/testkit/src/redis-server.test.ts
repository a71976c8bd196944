import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";

import { RedisServer } from "./redis-server.ts";

async function start(settings: Readonly<Record<string, string>> = {}): Promise<{
  readonly server: RedisServer;
  readonly redis: Redis;
}> {
  const server = await RedisServer.start(settings);
  const redis = new Redis(server.url);
  redis.on("error", () => {});
  onTestFinished(async () => {
    redis.disconnect();
    await server.stop();
  });
  return { server, redis };
}

test("a server that was killed comes back with its data and its settings", async () => {
  const { server, redis } = await start({ maxmemory: "50mb" });
  await redis.set("k", "v");

  await server.kill();
  await server.restart();

  expect(await redis.get("k")).toBe("v");
  expect(await redis.config("GET", "maxmemory")).toEqual(["maxmemory", "52428800"]);
});

test("a server loses what it was told since a mark, and nothing before it", async () => {
  const { server, redis } = await start();
  await redis.set("before", "kept");
  const mark = await server.mark();
  await redis.mset("after", "lost", "before", "changed");

  await server.loseSince(mark);

  expect(await redis.mget("before", "after")).toEqual(["kept", null]);
});
