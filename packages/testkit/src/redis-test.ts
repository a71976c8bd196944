import { Redis } from "ioredis";
import { test } from "vitest";

import { RedisServer } from "./redis-server.ts";

/** A vitest `test` with a real Redis: one server per vitest worker, emptied before each test. */
export const redisTest = test
  .extend("redisServer", { scope: "worker" }, async ({}, { onCleanup }) => {
    const server = await RedisServer.start();
    onCleanup(() => server.stop());
    return server;
  })
  .extend("redis", async ({ redisServer }, { onCleanup }) => {
    const redis = new Redis(redisServer.url);
    onCleanup(() => redis.disconnect());
    await redis.flushall();
    return redis;
  });
