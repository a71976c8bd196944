import { parseCursor, START, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import {
  brokerTest as test,
  claimJob,
  delta,
  TestReader,
  type TestSource,
  type TestWorker,
} from "./test-bench.ts";
import { writeTokenIds } from "./token-ids.ts";

const PROMPT = [7, 8, 9];
const READY_MS = 5_000;
const DONE = { status: "completed", outcome: {}, items: [] } as const;

/** Say a word and a half with ids, as a first attempt does, and wait until both are in the log. */
async function begin(worker: TestWorker, redis: Redis): Promise<TestSource> {
  const source = await worker.next();
  source.say("one ", writeTokenIds([1], { prompt: PROMPT }));
  await write(worker, source, redis);
  source.say("two ", writeTokenIds([2, 22], null));
  await write(worker, source, redis);
  return source;
}

async function write(worker: TestWorker, source: TestSource, redis: Redis): Promise<void> {
  const { job, epoch } = source.attempt;
  const before = await redis.hget(keys.entry(job), "next");
  worker.broker.notify(source, true);
  await expect.poll(() => redis.hget(keys.entry(job), "next")).not.toBe(before);
  expect(await redis.hget(keys.entry(job), "epoch")).toBe(String(epoch));
}

/** The fields of the newest `attempt.started`. */
async function lastAttempt(redis: Redis, job: JobId): Promise<unknown> {
  const entries = await redis.xrange(keys.log(job), "-", "+");
  const data = entries.findLast(([, [type]]) => type === "attempt")?.[1][1];
  return JSON.parse(data ?? "null");
}

describe("an attempt that goes on", () => {
  test("finds what earlier ones wrote, and adds to it", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await begin(worker, redis);
    await worker.broker.release(first, "handed_back", null);

    const second = await worker.next();
    const written = await worker.broker.readWritten(second.attempt);

    expect(second.attempt).toMatchObject({ epoch: 2, from: 2 });
    expect(await lastAttempt(redis, job)).toEqual({
      epoch: 2,
      reason: "handed_back",
      from: 2,
      reset: false,
    });
    expect(written).toMatchObject({ promptIds: PROMPT, ids: [1, 2, 22] });
    expect(written?.deltas.map((data) => JSON.parse(data)[0].delta.content)).toEqual([
      "one ",
      "two ",
    ]);
  });

  test("counts what the ones before it added, however many there were", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    await submit();
    await worker.broker.release(await begin(worker, redis), "handed_back", null);
    const second = await worker.next();
    second.say("three ", writeTokenIds([3], { position: 3 }));
    await worker.broker.release(second, "engine_error", "engine_failed");
    await worker.broker.release(await worker.next(), "handed_back", null);

    const fourth = await worker.next();
    const written = await worker.broker.readWritten(fourth.attempt);

    expect(fourth.attempt).toMatchObject({ epoch: 4, from: 3 });
    expect(written).toMatchObject({ ids: [1, 2, 22, 3] });
  });

  test("forgets ids that the next attempt did not go on from", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    await submit();
    await worker.broker.release(await begin(worker, redis), "handed_back", null);
    const second = await worker.next();
    second.say("three ", writeTokenIds([4], { position: 2 }));
    await worker.broker.release(second, "handed_back", null);

    const written = await worker.broker.readWritten((await worker.next()).attempt);

    expect(written).toMatchObject({ ids: [1, 2, 4] });
  });

  test("gives readers one text, live and from every cursor, and no ids", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const live = new TestReader();
    await ingress.follow(job, START, live);
    await worker.broker.release(await begin(worker, redis), "handed_back", null);
    const second = await worker.next();
    second.say("three ", writeTokenIds([3], { position: 3 }));
    await write(worker, second, redis);
    await worker.broker.finish(second, DONE);
    await live.whenEnded();

    const replays = [];
    for (const cursor of ["0-0", "1-0", "1-1", "1-2", "2-0", "2-1"]) {
      const reader = new TestReader();
      await ingress.follow(job, parseCursor(cursor), reader);
      await reader.whenEnded();
      replays.push(reader.text);
      expect(reader.voids).toBe(0);
    }

    expect(live.voids).toBe(0);
    expect(live.entries.map(({ id, type }) => `${id} ${type}`)).toEqual([
      "1-0 attempt",
      "1-1 delta",
      "1-2 delta",
      "2-0 attempt",
      "2-1 delta",
      "2-2 completed",
    ]);
    expect(live.entries.slice(1, 3).map(({ data }) => data)).toEqual(
      ["one ", "two "].map((text) => delta(text).data),
    );
    expect(replays).toEqual([
      "one two three ",
      "one two three ",
      "two three ",
      "three ",
      "three ",
      "",
    ]);
  });

  test("leaves no gap for a reader whose messages are lost", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    const first = await worker.next();
    first.say("one ", writeTokenIds([1], { prompt: PROMPT }));
    worker.broker.notify(first, true);
    await reader.when(({ text }) => text === "one ");
    const watchers = await redis.hget(keys.entry(job), "watchers");
    await redis.hdel(keys.entry(job), "watchers");
    first.say("two ", writeTokenIds([2], null));
    await write(worker, first, redis);
    await redis.hset(keys.entry(job), "watchers", watchers ?? "");
    await worker.broker.release(first, "handed_back", null);
    const second = await worker.next();
    second.say("three ", writeTokenIds([3], { position: 2 }));
    await worker.broker.finish(second, { ...DONE, items: second.take() });
    await reader.whenEnded();

    expect(reader.text).toBe("one two three ");
  });

  test("tells when the first token was shown, whoever made it", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await begin(worker, redis);
    const shownAt = Number(await redis.hget(keys.entry(job), "first_token_at"));
    await worker.broker.release(first, "handed_back", null);
    await worker.broker.finish(await worker.next(), DONE);

    const { end } = await ingress.getJob("default", job);

    expect(end?.at.first_shown).toBe(shownAt);
    expect(end?.at.claimed).toBeGreaterThan(shownAt);
  });
});

describe("the ids of a prompt", () => {
  test("are kept once, and no longer than the job is open", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await begin(worker, redis);
    const kept = await redis.hget(keys.entry(job), "prompt_ids");
    const beside = (await redis.xrange(keys.log(job), "-", "+")).map(([, fields]) => fields[3]);
    await worker.broker.finish(source, DONE);

    expect(kept).toBe("7,8,9");
    expect(beside).toEqual([undefined, "1", "2,22"]);
    expect(await redis.hexists(keys.entry(job), "prompt_ids")).toBe(0);
  });
});

describe("handing back", () => {
  test("writes what had not been written", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    await submit();
    const first = await begin(worker, redis);
    first.say("three ", writeTokenIds([3], null));

    await worker.broker.release(first, "handed_back", null);

    const second = await worker.next();
    expect(second.attempt.from).toBe(3);
    expect(await worker.broker.readWritten(second.attempt)).toMatchObject({ ids: [1, 2, 22, 3] });
  });
});

describe("an attempt starts over", () => {
  test("when ids are missing", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await worker.next();
    first.say("no ids");
    await write(worker, first, redis);
    await worker.broker.release(first, "handed_back", null);

    expect((await worker.next()).attempt.from).toBe(0);
    expect(await lastAttempt(redis, job)).toMatchObject({ from: 0, reset: true });
  });

  test("for another version of the model", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await begin(worker, redis);
    worker.slots = 0;
    await worker.broker.release(first, "handed_back", null);
    const other = await startWorker({ version: "v2" });
    await moveToVersion(redis, job, "v2");

    const second = await other.next();

    expect(second.attempt).toMatchObject({ epoch: 2, from: 0 });
    expect(await lastAttempt(redis, job)).toMatchObject({ from: 0, reset: true });
    expect(await redis.hexists(keys.entry(job), "prompt_ids")).toBe(0);
  });

  test("for another version of the model, unless it must not: then it fails", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit({ on_retry: "fail" });
    const first = await begin(worker, redis);
    worker.slots = 0;
    await worker.broker.release(first, "handed_back", null);
    await startWorker({ version: "v2" });
    await moveToVersion(redis, job, "v2");

    await expect
      .poll(async () => (await ingress.getJob("default", job)).end?.outcome.error)
      .toBe("output_interrupted");
  });

  test("after a worker found that it cannot go on", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    await worker.broker.release(await begin(worker, redis), "cannot_continue", null);

    expect((await worker.next()).attempt.from).toBe(0);
    expect(await lastAttempt(redis, job)).toMatchObject({
      reason: "cannot_continue",
      from: 0,
      reset: true,
    });
  });

  test("and is gone on from in its turn", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    await worker.broker.release(await begin(worker, redis), "cannot_continue", null);
    await worker.broker.release(await begin(worker, redis), "handed_back", null);

    const third = await worker.next();

    expect(third.attempt).toMatchObject({ epoch: 3, from: 2 });
    expect(await lastAttempt(redis, job)).toMatchObject({ from: 2, reset: false });
    expect(await worker.broker.readWritten(third.attempt)).toMatchObject({ ids: [1, 2, 22] });
  });
});

describe("a job that must not start over", () => {
  test("is gone on with where that is exact", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    await submit({ on_retry: "fail" });
    await worker.broker.release(await begin(worker, redis), "handed_back", null);

    expect((await worker.next()).attempt).toMatchObject({ from: 2, isFragile: true });
  });

  test("ends where it is not", async ({ ingress, redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit({ on_retry: "fail" });
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    await worker.broker.release(await begin(worker, redis), "cannot_continue", null);

    const end = await reader.whenEnded();

    expect(end.type).toBe("failed");
    expect(JSON.parse(end.data).outcome).toEqual({ error: "output_interrupted" });
    expect(reader.text).toBe("one two ");
  });
});

describe("a reader who has more than Redis kept", () => {
  test.for(["live", "with its cursor"])(
    "starts over (%s)",
    async (how, { ingress, redis, startWorker, submit }) => {
      const worker = await startWorker();
      const job = await submit();
      const reader = new TestReader();
      const follower = await ingress.follow(job, START, reader);
      const first = await begin(worker, redis);
      const kept = await snapshot(redis, job);
      first.say("lost ", writeTokenIds([3], null));
      await write(worker, first, redis);
      await reader.when(({ text }) => text === "one two lost ");
      if (how !== "live") follower.close();

      await restore(redis, kept);
      await worker.broker.release(first, "handed_back", null);
      const second = await worker.next();
      second.say("three ", writeTokenIds([3], { position: 3 }));
      await write(worker, second, redis);
      if (how !== "live") await ingress.follow(job, parseCursor("1-3"), reader);
      await reader.when(({ voids }) => voids > 0);
      await worker.broker.finish(second, DONE);
      await reader.whenEnded();

      expect(second.attempt.from).toBe(2);
      expect(reader.voids).toBe(1);
      expect(reader.text).toBe("one two three ");
    },
  );

  test("is told even when nothing that was shown is left", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await worker.next();
    const kept = await snapshot(redis, job);
    first.say("lost ", writeTokenIds([1], { prompt: PROMPT }));
    await write(worker, first, redis);
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    await reader.when(({ text }) => text === "lost ");

    await restore(redis, kept);
    await worker.broker.release(first, "handed_back", null);
    await worker.broker.finish(await worker.next(), DONE);
    await reader.whenEnded();

    expect(reader.voids).toBe(1);
    expect(reader.text).toBe("");
  });
});

describe("an attempt that Redis has forgotten", () => {
  test("has an epoch that no other has, so that neither its worker nor its readers mistake it", async ({
    ingress,
    redis,
    redisServer,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const kept = await snapshot(redis, job);
    const forgotten = await claimJob(redis, job, "w-first:1");
    await redisServer.kill();
    await redisServer.restart();
    await ingress.assertReady(READY_MS);
    await restore(redis, kept);

    const next = await claimJob(redis, job, "w-second:1");
    const after = await claimJob(redis, job, "w-third:1");

    expect([forgotten, next, after]).toMatchObject([
      { epoch: 1 },
      { epoch: 1_001 },
      { epoch: 1_002 },
    ]);

    const history = await ingress.getAttempts(job);
    expect(history.attempts.map(({ epoch }) => epoch)).toEqual([1_001, 1_002]);
    expect(history.forgottenCount).toBe(0);
  }, 15_000);
});

/** Put a job into the queue of another version, as an operator might who moves a backlog. */
async function moveToVersion(redis: Redis, job: JobId, version: string): Promise<void> {
  const code = keys.slotOf(job);
  const [from, to] = ["v1", version].map((name) => `${code}:q:${name}`);
  await redis.hset(keys.entry(job), "version", version);
  await redis.rename(`${from}:${job}`, `${to}:${job}`);
  await redis.del(`${from}:prioritized`, `${from}:wait`, `${from}:marker`);
  await redis.zadd(`${to}:prioritized`, 1, job);
  await redis.zadd(`${to}:marker`, 0, "0");
}

/** A job's entry and log as Redis would have them again after a crash; null for what was not yet. */
async function snapshot(redis: Redis, job: JobId): Promise<Map<string, Buffer | null>> {
  const kept = new Map<string, Buffer | null>();
  for (const key of [keys.entry(job), keys.log(job)]) {
    kept.set(key, await redis.dumpBuffer(key));
  }
  return kept;
}

async function restore(redis: Redis, kept: ReadonlyMap<string, Buffer | null>): Promise<void> {
  for (const [key, value] of kept) {
    if (value === null) await redis.del(key);
    else await redis.restore(key, 0, value, "REPLACE");
  }
}
