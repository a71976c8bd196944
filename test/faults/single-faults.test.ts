import { setTimeout as delay } from "node:timers/promises";

import { Headrace } from "@headrace/client";
import { FaultProxy, Random } from "@headrace/testkit/instruments";
import { Redis } from "ioredis";
import { describe, expect, test as plainTest } from "vitest";
import { z } from "zod";

import { API_KEY, Platform, type PlatformOptions } from "../platform.ts";
import { makeCase, makeCases } from "./job-case.ts";
import type { Load } from "./load.ts";
import { Site } from "./site.ts";
import { subjectOf } from "./webhook-check.ts";

const LIMIT_MS = 60_000;
const JOBS = 40;
const FILLER = 6_000;
/** For each command: loading takes two seconds. */
const LOAD_DELAY_MICROSECONDS = "300";
const SUBMITS = 8;
/** Each way, so that a round trip takes twice as long. */
const LATENCY_MS = 50;
const TOKENS = { fewestTokens: 20, mostTokens: 60 } as const;

/** Makes platforms, each looked at from outside, and takes them down after the test. */
const test = plainTest.extend("startSite", async ({}, { onCleanup }) => {
  const sites: Site[] = [];
  onCleanup(async () => {
    for (const site of sites) {
      await site.close();
      await site.platform.stop();
    }
  });
  return async (options: PlatformOptions = {}): Promise<Site> => {
    const platform = await Platform.start({ engineFlags: ["--step-ms", "20"], ...options });
    const signal = AbortSignal.timeout(LIMIT_MS);
    const context = { random: new Random(1), size: "small", signal, say: () => {} } as const;
    const site = new Site(platform, context);
    sites.push(site);
    return site;
  };
});

/** Run jobs while `strike` happens in their midst, and have all of them checked. */
async function runThrough(site: Site, strike: (load: Load) => Promise<void>): Promise<Load> {
  const load = site.load({ outstanding: JOBS / 2 });
  const striking = load.progress.reach(JOBS / 4).then(() => strike(load));
  await site.bounded(Promise.all([load.run(makeCases(new Random(1), JOBS, TOKENS)), striking]));
  expect(await site.verify(load)).toEqual([]);
  return load;
}

describe("jobs end as they should, and readers miss nothing,", () => {
  test(
    "while Redis forgets its scripts and drops every connection, again and again",
    {
      timeout: LIMIT_MS,
    },
    async ({ startSite }) => {
      const site = await startSite();

      const load = await runThrough(site, async () => {
        for (let count = 0; count < 8; count += 1) {
          await site.redis.script("FLUSH");
          await site.redis.call("CLIENT", "KILL", "TYPE", count % 2 === 0 ? "normal" : "pubsub");
          await delay(250);
        }
      });

      expect(load.accepted).toHaveLength(JOBS);
    },
  );

  test(
    "while Redis is somebody's replica, and then no longer",
    {
      timeout: LIMIT_MS,
    },
    async ({ startSite }) => {
      const site = await startSite();

      const load = await runThrough(site, async () => {
        // Nobody is there: it keeps what it has, and refuses to write.
        await site.redis.replicaof("127.0.0.1", 1);
        await expect(site.redis.set("k", "v")).rejects.toThrow("READONLY");
        await delay(1_500);
        await site.redis.replicaof("NO", "ONE");
      });

      expect(load.accepted).toHaveLength(JOBS);
    },
  );

  test(
    "while Redis cannot write to its disk, and then can",
    {
      timeout: LIMIT_MS,
    },
    async ({ startSite }) => {
      // Its snapshot is to have the name of a folder that is there: no snapshot can be written.
      const site = await startSite({ redis: { save: "3600 1", dbfilename: "appendonlydir" } });

      const load = await runThrough(site, async () => {
        await site.redis.bgsave();
        const write = (): Promise<unknown> => site.redis.set("k", "v").catch(String);
        await expect.poll(write, { timeout: 5_000 }).toMatch("MISCONF");
        await delay(1_500);
        await site.redis.config("SET", "stop-writes-on-bgsave-error", "no");
      });

      expect(load.accepted).toHaveLength(JOBS);
      expect(await site.redis.info("errorstats")).toMatch(/errorstat_MISCONF:count=(?!1\b)/);
    },
  );

  test("while Redis loads what it had written", { timeout: LIMIT_MS }, async ({ startSite }) => {
    const site = await startSite();
    const { redis } = site.platform;
    let isLoading = false;

    const load = await runThrough(site, async () => {
      // Redis listens to clients once in a thousand commands that it loads.
      const filler = Array.from({ length: FILLER }, (_value, at) => site.redis.set(`f${at}`, at));
      await Promise.all(filler);
      await redis.kill();
      const restarting = redis.restart({ "key-load-delay": LOAD_DELAY_MICROSECONDS });
      isLoading = await meetLoading(redis.url);
      await restarting;
    });

    expect(isLoading).toBe(true);
    expect(load.accepted).toHaveLength(JOBS);
  });
});

describe("a webhooks process", () => {
  test(
    "that is killed between a receiver's answer and writing it down leaves nobody untold",
    {
      timeout: LIMIT_MS + 10_000,
    },
    async ({ startSite }) => {
      const site = await startSite();
      const doomed = await site.platform.startWebhooks();
      const sink = await site.openSink();
      const seen = new Set<string>();
      // The race has to occur: somebody was answered, and is told again.
      const repeat = Promise.withResolvers<void>();
      let replacement: Promise<unknown> = Promise.resolve();
      sink.onReceive = async ({ body }) => {
        const subject = subjectOf(body);
        if (seen.has(subject)) repeat.resolve();
        seen.add(subject);
        if (seen.size === JOBS / 4 && !doomed.hasExited) {
          await doomed.kill();
          replacement = site.platform.startWebhooks();
        }
        return 204;
      };
      const load = site.load({ outstanding: JOBS / 2 });
      const cases = makeCases(new Random(1), JOBS, { ...TOKENS, submit: { webhook: sink.url } });

      await site.bounded(load.run(cases));
      await replacement;
      await site.bounded(repeat.promise);

      expect(await site.verify(load)).toEqual([]);
      expect(seen.size).toBe(JOBS);
    },
  );
});

describe("a slow Redis", () => {
  test(
    "makes submits slow, not wrong: each is answered in 1.5 s",
    { timeout: LIMIT_MS },
    async ({ startSite, onTestFinished }) => {
      const site = await startSite({ ingresses: 0, workers: 0 });
      const proxy = await FaultProxy.start(site.platform.redis.port);
      onTestFinished(() => proxy.close());
      const environment = { REDIS_URL: `redis://127.0.0.1:${proxy.port}` };
      const { url } = await site.platform.startIngress(environment);
      await site.platform.startWorker(environment);
      const cases = makeCases(new Random(1), SUBMITS, TOKENS);
      const client = new Headrace({ url, apiKey: API_KEY });
      const textOf = async (answer: Response): Promise<string | null> => {
        if (answer.status === 503) return null;
        const { id } = z.looseObject({ id: z.string() }).parse(await answer.json());
        let text = "";
        for await (const piece of client.text(id)) text += piece.text;
        return text;
      };

      proxy.latencyMs = LATENCY_MS;
      const answers = [];
      for (const { submit } of cases) {
        const askedAtMs = performance.now();
        const body = JSON.stringify(submit);
        const answer = await site.platform.call("/v1/jobs", { method: "POST", body });
        answers.push({ answer, seconds: (performance.now() - askedAtMs) / 1_000 });
      }
      const texts = await Promise.all(answers.map(({ answer }) => textOf(answer)));

      const accepted = texts.flatMap((text, at) =>
        text === null ? [] : [{ text, expected: cases[at]?.expected.text }],
      );
      expect(Math.max(...answers.map(({ seconds }) => seconds))).toBeLessThan(1.5);
      expect(accepted.length).toBeGreaterThan(0);
      expect(accepted.filter(({ text, expected }) => text !== expected)).toEqual([]);
    },
  );
});

describe("a Redis that evicts keys", () => {
  test("is refused by a worker", { timeout: LIMIT_MS }, async ({ startSite }) => {
    const redis = { "maxmemory-policy": "allkeys-lru" };
    const site = await startSite({ redis, ingresses: 0, workers: 0 });

    await expect(site.platform.startWorker()).rejects.toThrow("set it to noeviction");
  });
});

describe("an engine", () => {
  test(
    "that stalls in the middle is given up, and the job tried again",
    {
      timeout: LIMIT_MS,
    },
    async ({ startSite }) => {
      const site = await startSite({ worker: { ENGINE_SILENCE_TIMEOUT_MS: "400" } });
      const fault = {
        kind: "stall",
        after_tokens: 5,
        milliseconds: 20_000,
        times: 1,
        key: "stall",
      };
      const load = site.load({ outstanding: 1 });

      await site.bounded(
        load.run([makeCase("Stalled", 20, { request: { headrace_fault: fault } })]),
      );

      expect(await site.verify(load)).toEqual([]);
      expect(site.countBurnedAttempts()).toBe(1);
    },
  );

  test(
    "that ignores its caller's leaving does not keep the slot",
    {
      timeout: LIMIT_MS,
    },
    async ({ startSite }) => {
      const slots = { WORKER_MAX_IN_FLIGHT: "1", WORKER_INITIAL_IN_FLIGHT: "1" };
      const site = await startSite({ worker: slots });
      const client = new Headrace({ url: site.platform.url, apiKey: API_KEY });
      const fault = { kind: "ignore-abort" };
      const stubborn = makeCase("Stubborn", 1_000, { request: { headrace_fault: fault } });
      const { id } = await client.submit(stubborn.submit);
      for await (const { event } of client.events(id)) if (event.type === "output.delta") break;

      await client.cancel(id);
      const cancelledAtMs = performance.now();
      const next = await client.submit(makeCase("Next", 5).submit);
      const job = await client.wait(next.id);

      expect(job.status).toBe("completed");
      expect(performance.now() - cancelledAtMs).toBeLessThan(2_000);
      expect(await site.platform.engineCounts()).toMatchObject({ running: 1 });
    },
  );
});

/** Ask a Redis that is about to serve until it says that it loads, or serves. @returns which */
async function meetLoading(url: string): Promise<boolean> {
  const options = { enableReadyCheck: false, maxRetriesPerRequest: null };
  const redis = new Redis(url, { ...options, retryStrategy: () => 5 });
  redis.on("error", () => {});
  try {
    const answer = await redis.get("k").catch((error: unknown) => String(error));
    return String(answer).includes("LOADING");
  } finally {
    redis.disconnect();
  }
}
