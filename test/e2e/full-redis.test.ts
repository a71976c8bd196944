import { setTimeout as delay } from "node:timers/promises";

import { Headrace } from "@headrace/client";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

const JOBS = 30;
const TOKENS = 300;
/** Longer than a lock may go without being renewed. */
const FULL_MS = 12_000;
/** Ingress and worker, ten a second each. */
const MOST_ERRORS_PER_SECOND = 20;

test("A Redis that is full is asked now and then, and no job suffers", async () => {
  const platform = await Platform.start();
  onTestFinished(() => platform.stop());
  const client = new Headrace({ url: platform.url, apiKey: API_KEY });
  const redis = new Redis(platform.redis.url);
  onTestFinished(() => redis.disconnect());
  const submit = {
    endpoint: "/v1/chat/completions",
    request: {
      model: "headrace-sim-8b",
      messages: [{ role: "user", content: "Fill up" }],
      max_tokens: TOKENS,
      ignore_eos: true,
    },
  } as const;
  const jobs = await Promise.all(Array.from({ length: JOBS }, () => client.submit(submit)));
  await expect.poll(async () => (await platform.engineCounts()).running).toBe(JOBS);
  await redis.config("SET", "maxmemory", "1mb");
  const before = await errorCount(redis);
  await delay(FULL_MS);
  const perSecond = ((await errorCount(redis)) - before) / (FULL_MS / 1_000);
  const lines = platform.services.flatMap((service) => service.lines.length);
  await redis.config("SET", "maxmemory", "0");
  const ended = await Promise.all(jobs.map(({ id }) => client.wait(id)));

  // Something was refused, or the test would prove nothing.
  expect(perSecond).toBeGreaterThan(0);
  expect(perSecond).toBeLessThan(MOST_ERRORS_PER_SECOND);
  expect(Math.max(...lines)).toBeLessThan(100);
  expect(ended.map(({ status, attempts }) => `${status} ${attempts}`)).toEqual(
    jobs.map(() => "completed 1"),
  );
  expect(new Set(ended.map(({ usage }) => usage?.completion_tokens))).toEqual(new Set([TOKENS]));
}, 60_000);

async function errorCount(redis: Redis): Promise<number> {
  return Number(/errorstat_OOM:count=(\d+)/.exec(await redis.info("errorstats"))?.[1] ?? 0);
}
