import { PlatformError, START, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect, onTestFinished, vi } from "vitest";

import type { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { ModelRegistry } from "./model-registry.ts";
import {
  brokerTest as test,
  claimJob,
  MODEL,
  TestReader,
  type TestSource,
  type TestWorker,
} from "./test-bench.ts";

const DONE = { status: "completed", outcome: {} } as const;

describe("an attempt whose claim Redis has forgotten", () => {
  test("can neither write nor end the job beside the one that has its epoch now", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    const other = await forgetAndClaim();

    source.say("zombie");
    worker.broker.notify(source, true);
    const reason = await source.lost;
    const lost = await worker.broker.finish(source, { ...DONE, items: [] });
    await worker.broker.release(source, "engine_error", "engine_failed");

    expect(other).toMatchObject({ epoch: source.attempt.epoch });
    expect([reason, lost]).toEqual(["fenced", "fenced"]);
    expect(await redis.hgetall(keys.entry(job))).toMatchObject({
      state: "in_progress",
      token: "w-other:1",
      next: "1",
    });

    /** As if Redis had lost the claim, and offered the job to another worker. */
    async function forgetAndClaim(): Promise<unknown> {
      await forgetClaim(redis, job);
      return claimJob(redis, job, "w-other:1");
    }
  });

  test.for(["finds that out while it writes", "finds that out when it ends", "gives the job back"])(
    "puts its job back into the queue at once when it %s and the queue still says it has the job",
    async (when, { redis, startWorker, submit }) => {
      const worker = await startWorker();
      const job = await submit();
      const source = await worker.next();
      await forgetClaim(redis, job);

      if (when === "gives the job back") await worker.broker.release(source, "handed_back", null);
      else if (when === "finds that out when it ends") {
        await worker.broker.finish(source, { ...DONE, items: [] });
      } else {
        worker.broker.notify(source, true);
        await worker.broker.abandon(source, await source.lost);
      }
      const { attempt } = await worker.next();

      expect(attempt).toMatchObject({ job, attempts: 1, from: 0 });
      expect(await redis.hget(keys.entry(job), "deaths")).toBe("0");
    },
  );
});

describe("a Redis that has lost its last second", () => {
  test.for(["its claim", "all of its output", "some of its output"])(
    "voids what readers were shown of a job when it lost %s",
    // A hand-back that Redis did not hear of waits for its lock, 15 s, and the check after it, 5 s.
    { timeout: 30_000 },
    async (what, { ingress, redis, redisServer, startWorker, submit }) => {
      await writeAtOnce(redis);
      const worker = await startWorker();
      await submit();
      await worker.next();
      worker.slots = 0;
      const job = await submit();
      const live = new TestReader();
      await ingress.follow(job, START, live);
      let mark = await redisServer.mark();
      worker.takeMore(1);
      const first = await worker.next();
      if (what === "all of its output") mark = await redisServer.mark();
      await show(worker, first, live, "alpha ");
      if (what === "some of its output") mark = await redisServer.mark();
      for (const text of ["beta ", "gamma "]) await show(worker, first, live, text);

      await redisServer.loseSince(mark);
      await whenBack(ingress);
      worker.takeMore(1);
      first.say("delta ");
      worker.broker.notify(first, true);
      await worker.broker.abandon(first, await first.lost);
      const second = await worker.next();
      for (const text of ["Alpha ", "beta ", "gamma ", "Delta "]) second.say(text);
      const lost = await worker.broker.finish(second, { ...DONE, items: second.take() });
      await live.whenEnded();
      const late = new TestReader();
      await ingress.follow(job, { epoch: 1, index: 3 }, late);
      await late.whenEnded();

      expect(lost).toBeNull();
      expect(live.textThatStands).toBe("Alpha beta gamma Delta ");
      expect(late.textThatStands).toBe("Alpha beta gamma Delta ");
    },
  );

  test("means nothing to the jobs that come after", async ({
    ingress,
    redis,
    redisServer,
    startWorker,
    submit,
  }) => {
    await writeAtOnce(redis);
    const worker = await startWorker();
    await submit();
    await worker.next();
    await redisServer.loseSince(await redisServer.mark());
    await whenBack(ingress);

    await submit();
    const { attempt } = await worker.next();

    expect(attempt).toMatchObject({ epoch: 1, attempts: 1 });
  });
});

describe("a Redis whose scripts may not ask which run it is", () => {
  test("takes jobs in and gives them out", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await submit();
    await redis.call("ACL", "SETUSER", "default", "-info");
    try {
      const job = await submit();
      const attempts = [await claimJob(redis, job, "w-a:1"), await claimJob(redis, job, "w-b:1")];

      expect(attempts).toMatchObject([{ epoch: 1 }, { epoch: 2 }]);
    } finally {
      await redis.call("ACL", "SETUSER", "default", "+info");
    }
  });
});

describe("a Redis that comes back without its keys", () => {
  test("takes jobs again as soon as a worker has said that it is there", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    await redis.flushall();

    await expect(submit()).rejects.toMatchObject({ code: "model_not_found" });
    await expect.poll(() => submit().catch(codeOf), { timeout: 10_000 }).toMatch(/^job_/);
    await expect(worker.next()).resolves.toBeDefined();
    expect((await ingress.getModel(MODEL)).maxModelLength).toBe(4_096);
  }, 20_000);

  test("learns again whose bookings to mend, from those who book", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    await submit();
    await redis.del(keys.booked);

    await submit();
    const atOnce = await redis.zrange(keys.booked, "0", "-1");
    vi.advanceTimersByTime(5_000);
    await submit();

    expect(atOnce).toEqual([]);
    expect(await redis.zrange(keys.booked, "0", "-1")).toEqual(["default"]);
  });

  test("gives new jobs to the version that is known, whoever says that it is there", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    await startWorker({ version: "v2" });
    const { code } = await ingress.getModel(MODEL);
    const older = { version: "v1", maxModelLength: 1 };
    const registry = new ModelRegistry(redis);
    await registry.reenter([MODEL], older, code);

    expect((await registry.find(MODEL))?.version).toBe("v2");
  });
});

/** As if Redis had lost the claim, and only that: the queue still says whose the job is. */
async function forgetClaim(redis: Redis, job: JobId): Promise<void> {
  await redis.hdel(keys.entry(job), "epoch", "token", "next", "attempts", "first_claimed_at");
  await redis.hset(keys.entry(job), "state", "queued");
  await redis.del(keys.log(job));
}

function codeOf(error: unknown): unknown {
  return error instanceof PlatformError ? error.code : error;
}

/**
 * Have Redis write to its append-only file before it answers, until it is started again. With
 * `everysec` it holds writes back for up to 2 s while the disk is busy, and a mark would lie before
 * what the test has seen happen.
 */
async function writeAtOnce(redis: Redis): Promise<void> {
  await redis.config("SET", "appendfsync", "no");
}

/** Write one piece of output, and wait until a reader has been shown it. */
async function show(
  worker: TestWorker,
  source: TestSource,
  reader: TestReader,
  text: string,
): Promise<void> {
  source.say(text);
  worker.broker.notify(source, true);
  await reader.when(({ entries }) => entries.at(-1)?.data.includes(text) === true);
}

async function whenBack(ingress: IngressBroker): Promise<void> {
  await expect
    .poll(
      () =>
        ingress.ping().then(
          () => true,
          () => false,
        ),
      { timeout: 5_000 },
    )
    .toBe(true);
}
