import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";

import { modelCodeOf, type JobId } from "@headrace/contract";
import { findFreePort } from "@headrace/testkit";
import type { Redis } from "ioredis";
import { describe, expect, onTestFinished } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, type TestSource, type TestWorker } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {}, items: [] } as const;

const inQueue = (job: JobId, name: string): string => keys.queue(modelCodeOf(job), "v1", name);

/** Let a job's lock run out and have the stalled check find it, in no time. */
async function loseLock(redis: Redis, job: JobId): Promise<void> {
  await redis.del(inQueue(job, `${job}:lock`));
  await redis.lrem(inQueue(job, "active"), 1, job);
  await redis.rpush(inQueue(job, "wait"), job);
  await redis.zadd(inQueue(job, "marker"), 0, "0");
}

async function fetchTwice(
  worker: TestWorker,
  redis: Redis,
  job: JobId,
): Promise<{ readonly first: TestSource; readonly second: TestSource }> {
  const first = await worker.next();
  await loseLock(redis, job);
  return { first, second: await worker.next() };
}

describe("a worker that fetches a job again while it still runs its first attempt", () => {
  test("does not take the first's end for the second's", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    const { first, second } = await fetchTwice(worker, redis, job);

    const lost = await worker.broker.finish(first, DONE);
    const lock = await redis.get(inQueue(job, `${job}:lock`));

    expect(lost).toBe("fenced");
    expect(lock).toBe(second.attempt.token);
    expect(await worker.broker.finish(second, DONE)).toBeNull();
    expect(await redis.exists(inQueue(job, job))).toBe(0);
  });

  test("does not let go of the second when the first is given up", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const { first, second } = await fetchTwice(worker, redis, job);

    await worker.broker.abandon(first, "lock_lost");
    await worker.broker.finish(second, DONE);

    expect(second.attempt.epoch).toBe(2);
    // Acknowledged, which only the holder can.
    expect(await redis.exists(inQueue(job, job))).toBe(0);
  });
});

describe("a worker that is told to leave", () => {
  test("hands back what a fetch under way brings", async ({
    ingress,
    redis,
    redisServer,
    startWorker,
    submit,
  }) => {
    const leaving = await startWorker();
    leaving.slots = 0;
    const job = await submit();

    redisServer.signal("SIGSTOP");
    leaving.free(1);
    for (let turn = 0; turn < 10; turn += 1) await nextTurn();
    leaving.leave();
    redisServer.signal("SIGCONT");
    await expect.poll(() => redis.hget(inQueue(job, job), "ats")).toBe("1");
    const next = await startWorker();
    const { attempt } = await next.next();

    expect(attempt).toMatchObject({ job, epoch: 1, attempts: 1 });
    expect(leaving.attempts).toEqual([]);
    expect(await ingress.getJob("default", job)).toMatchObject({ attempts: 1 });
  });

  test("hands back what it has claimed meanwhile, and burns no attempt", async ({
    redisServer,
    startWorker,
    submit,
  }) => {
    const { redisUrl, claim } = await holdClaim(redisServer.port);
    const idle = await startWorker();
    idle.slots = 0;
    const leaving = await startWorker({ redisUrl });
    const job = await submit();

    const release = await claim;
    leaving.leave();
    release();
    idle.free(1);
    const { attempt } = await idle.next();

    expect(attempt).toMatchObject({ job, epoch: 2, attempts: 1 });
    expect(leaving.attempts).toEqual([]);
  });
});

describe("a worker that closes while a claim is on its way", () => {
  test("hands the job back first", async ({ redisServer, startWorker, submit }) => {
    const { redisUrl, claim } = await holdClaim(redisServer.port);
    const idle = await startWorker();
    idle.slots = 0;
    const leaving = await startWorker({ redisUrl });
    const job = await submit();

    const release = await claim;
    leaving.leave();
    const closed = leaving.broker.close();
    release();
    await closed;
    idle.free(1);
    const { attempt } = await idle.next();

    expect(attempt).toMatchObject({ job, epoch: 2, attempts: 1 });
  });
});

/** Stand before a Redis, and hold up the first claim that comes until it is let go. */
async function holdClaim(
  port: number,
): Promise<{ readonly redisUrl: string; readonly claim: Promise<() => void> }> {
  const held = Promise.withResolvers<() => void>();
  let isHeld = false;
  const proxy = createServer((client) => {
    const server = connect(port, "127.0.0.1");
    for (const socket of [client, server]) socket.on("error", () => {});
    server.pipe(client);
    client.on("close", () => server.destroy());
    client.on("data", (bytes: Buffer) => {
      // The only script of a worker that names this key.
      if (isHeld || !bytes.includes("}:starts")) {
        server.write(bytes);
        return;
      }
      isHeld = true;
      client.pause();
      held.resolve(() => {
        server.write(bytes);
        client.resume();
      });
    });
  });
  const own = await findFreePort();
  proxy.listen(own, "127.0.0.1");
  await once(proxy, "listening");
  onTestFinished(() => void proxy.close());
  return { redisUrl: `redis://127.0.0.1:${own}`, claim: held.promise };
}
