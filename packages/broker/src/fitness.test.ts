import { modelCodeOf } from "@headrace/contract";
import { RedisServer } from "@headrace/testkit";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";

import { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { brokerTest, newKey, submission, TestWorker } from "./test-bench.ts";

const READY_MS = 5_000;
/** A reading comes each second. */
const NOTICE = { timeout: 5_000, interval: 100 };

describe("a Redis that becomes unfit while it serves", () => {
  brokerTest(
    "is given no further job, new or repeated, until it is fit again",
    async ({ ingress, redis, startWorker, reports }) => {
      const worker = await startWorker();
      worker.slots = 0;
      const call = await submission(ingress);
      const keyed = await submission(ingress, { idempotencyKey: newKey() });
      const { id } = await ingress.submit(keyed);
      await redis.config("SET", "maxmemory-policy", "allkeys-lru");

      await expect
        .poll(() => ingress.submit(keyed).catch((error: unknown) => error), NOTICE)
        .toMatchObject({
          code: "queue_unavailable",
          message: "the queue is not fit to hold jobs; try again shortly",
          cause: { message: expect.stringContaining("maxmemory-policy allkeys-lru") },
        });
      await expect(ingress.submit(call)).rejects.toThrow("not fit to hold jobs");
      await expect(ingress.assertReady(READY_MS)).rejects.toThrow("maxmemory-policy allkeys-lru");
      expect(await redis.zrange(keys.open(modelCodeOf(id)), "0", "-1")).toEqual([id]);
      expect(reports.map(({ message }) => message)).toContainEqual(
        expect.stringMatching(/^no job is taken in: .*maxmemory-policy allkeys-lru/),
      );

      await redis.config("SET", "maxmemory-policy", "noeviction");
      await expect
        .poll(() => ingress.submit(keyed).catch((error: unknown) => error), NOTICE)
        .toMatchObject({ id, isNew: false });
    },
  );

  test("is given no further job when it no longer syncs as it must", async () => {
    const server = await RedisServer.start({ appendfsync: "always" });
    onTestFinished(() => server.stop());
    const redis = new Redis(server.url);
    onTestFinished(() => redis.disconnect());
    const worker = new TestWorker();
    await worker.open(server.url, { version: "v1", report: () => {} });
    onTestFinished(() => worker.stop());
    const ingress = new IngressBroker({
      redisUrl: server.url,
      durability: "redis-always",
      report: () => {},
    });
    onTestFinished(() => ingress.close());
    await ingress.assertReady(READY_MS);
    const call = await submission(ingress);
    await expect(ingress.submit(call)).resolves.toMatchObject({ isNew: true });
    await redis.config("SET", "appendfsync", "everysec");

    await expect
      .poll(() => ingress.submit(call).catch((error: unknown) => error), NOTICE)
      .toMatchObject({
        code: "queue_unavailable",
        cause: { message: expect.stringContaining("appendfsync everysec") },
      });
  });
});
