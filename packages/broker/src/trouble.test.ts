import { modelCodeOf, START } from "@headrace/contract";
import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, claimJob, delta, submission, TestReader } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {}, items: [] } as const;

describe("cancelling", () => {
  test("takes a queued job out of the queue, so that no worker ever has it", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 1;
    await submit();
    await worker.next();
    const queued = await submit();

    await ingress.cancel(await ingress.getJob("default", queued));

    const record = await ingress.getJob("default", queued);
    expect(record).toMatchObject({ status: "cancelled", attempts: 0 });
    expect(await redis.exists(keys.queue(modelCodeOf(queued), "v1", queued))).toBe(0);
  });

  test("reaches the worker that holds the job, and is the job's last word", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    const source = await worker.next();

    await ingress.cancel(await ingress.getJob("default", job));
    await worker.whenCancelled();
    const lost = await worker.broker.finish(source, { ...DONE, items: [delta("too late")] });
    await reader.whenEnded();

    expect(worker.cancelled).toEqual([job]);
    expect(lost).toBe("fenced");
    expect(reader.entries.map(({ type }) => type)).toEqual(["attempt", "cancelled"]);
  });

  test("is noticed within a renewal when its message is lost", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    // It connects again, but not before a fifth of a second has passed.
    await redis.call("CLIENT", "KILL", "TYPE", "pubsub");
    const cancelledAt = performance.now();

    await ingress.cancel(await ingress.getJob("default", job));
    const reason = await source.lost;

    expect(reason).toBe("fenced");
    expect(worker.cancelled).toEqual([]);
    expect(performance.now() - cancelledAt).toBeLessThan(1_000);
  });

  test("changes nothing about a job that has ended", async ({ ingress, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    await worker.broker.finish(await worker.next(), DONE);

    await ingress.cancel(await ingress.getJob("default", job));

    expect((await ingress.getJob("default", job)).status).toBe("completed");
  });
});

describe("a deadline", () => {
  test("ends a job that did not start, without a worker having it", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 1;
    await submit();
    await worker.next();
    const late = await submit({ deadlineMs: -1 });
    const reader = new TestReader();
    await ingress.follow(late, START, reader);

    await ingress.sweepNow();
    const end = await reader.whenEnded();

    expect(end.type).toBe("expired");
    expect(JSON.parse(end.data)).toMatchObject({
      attempts: 0,
      outcome: { error: "deadline_exceeded" },
    });
    expect(await redis.zcard(keys.queue(modelCodeOf(late), "v1", "prioritized"))).toBe(0);
  });

  test("is kept by the claim even if no sweep came", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    worker.slots = 1;
    await submit();
    await worker.next();
    const late = await submit({ deadlineMs: -1 });

    expect(await claimJob(redis, late, "w-test:1")).toBe("expired");
    expect(await claimJob(redis, late, "w-test:2")).toBe("ended");
  });

  test("does not touch a job that has started", async ({ ingress, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit({ deadlineMs: 500 });
    const source = await worker.next();
    await ingress.sweepNow();

    expect(await worker.broker.finish(source, DONE)).toBeNull();
    expect((await ingress.getJob("default", job)).status).toBe("completed");
  });
});

describe("an attempt", () => {
  test("that was overtaken can neither write nor end the job", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    source.say("first ");
    worker.broker.notify(source, true);
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    await reader.when(({ text }) => text === "first ");

    const overtaking = await claimJob(redis, job, "w-other:1");
    source.say("zombie");
    worker.broker.notify(source, true);
    const reason = await source.lost;
    const lost = await worker.broker.finish(source, DONE);

    expect(overtaking).toMatchObject({ epoch: 2, attempts: 2 });
    expect(reason).toBe("fenced");
    expect(lost).toBe("fenced");
    await reader.when(({ entries }) => entries.at(-1)?.type === "attempt");
    expect(reader.entries.map(({ id, type }) => `${id} ${type}`)).toEqual([
      "1-0 attempt",
      "1-1 delta",
      "2-0 attempt",
    ]);
    expect(JSON.parse(reader.entries.at(-1)?.data ?? "")).toEqual({
      epoch: 2,
      reason: "worker_lost",
      from: 0,
      reset: true,
    });
  });

  test("that was overtaken cannot end the job with much output either", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    await claimJob(redis, job, "w-other:1");

    const items = Array.from({ length: 600 }, () => delta("zombie"));
    const lost = await worker.broker.finish(source, { ...DONE, items });

    expect(lost).toBe("fenced");
    // The second attempt's beginning, and nothing else.
    expect(await redis.xlen(keys.log(job))).toBe(1);
  });

  test("is claimed once, however often the claim is repeated", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 1;
    await submit();
    await worker.next();
    const job = await submit();

    const first = await claimJob(redis, job, "w-test:7");
    const again = await claimJob(redis, job, "w-test:7");

    expect(again).toEqual(first);
    expect(first).toMatchObject({ epoch: 1, attempts: 1 });
  });

  test("is not taken over by a fetch that lost its lock before it could claim", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    const lock = keys.lock(modelCodeOf(job), "v1", job);

    const late = await claimJob(redis, job, "w-paused:1", lock);
    const lost = await worker.broker.finish(source, DONE);

    expect([late, lost]).toEqual(["unlocked", null]);
    expect(await redis.hget(keys.entry(job), "deaths")).toBe("0");
    expect((await ingress.getJob("default", job)).attempts).toBe(1);
  });

  test("ends when Redis has lost output that was acknowledged", async ({
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    for (const text of ["a", "b"]) {
      source.say(text);
      worker.broker.notify(source, true);
      await expect.poll(() => redis.hget(keys.entry(job), "next")).not.toBe("1");
    }
    await expect.poll(() => redis.hget(keys.entry(job), "next")).toBe("3");
    await redis.hset(keys.entry(job), "next", 2);

    source.say("c");
    worker.broker.notify(source, true);

    expect(await source.lost).toBe("gap");
  });

  test("whose third holder dies fails the job", async ({ ingress, redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    await worker.next();

    const claims = [];
    for (const token of ["w-2:1", "w-3:1", "w-4:1"]) claims.push(await claimJob(redis, job, token));

    expect(claims).toMatchObject([
      { epoch: 2, isSuspect: false },
      { epoch: 3, isSuspect: true },
      "failed",
    ]);
    const record = await ingress.getJob("default", job);
    expect(record.end?.outcome.error).toBe("worker_crashed");
  });

  test("of a fragile job that has shown output is not made again", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit({ on_retry: "fail" });
    const source = await worker.next();
    source.say("shown");
    worker.broker.notify(source, true);
    await expect.poll(() => redis.hget(keys.entry(job), "next")).toBe("2");

    expect(await claimJob(redis, job, "w-other:1")).toBe("failed");
    expect((await ingress.getJob("default", job)).status).toBe("failed");
  });
});

describe("an attempt that ended without output", () => {
  test("does not make its successor forget what an earlier one showed", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await worker.next();
    first.say("void");
    worker.broker.notify(first, true);
    await expect.poll(() => redis.hget(keys.entry(job), "next")).toBe("2");
    await worker.broker.release(first, "engine_error", "engine_timeout");
    await worker.broker.release(await worker.next(), "handed_back", null);
    const third = await worker.next();
    third.say("stands");
    await worker.broker.finish(third, { ...DONE, items: third.take() });

    const reader = new TestReader();
    await ingress.follow(job, { epoch: 1, index: 1 }, reader);
    await reader.whenEnded();

    const [attempt] = reader.entries;
    expect(attempt?.id).toBe("3-0");
    expect(JSON.parse(attempt?.data ?? "")).toMatchObject({ reset: true });
  });
});

describe("a refused submit", () => {
  test("does not run after all", async ({ ingress, redisServer, redis, startWorker }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const doomed = await submission(ingress);
    redisServer.signal("SIGSTOP");
    const refused = await ingress.submit(doomed).catch((error: unknown) => error);
    redisServer.signal("SIGCONT");
    const open = keys.open(doomed.model.code);
    await expect.poll(() => redis.zcard(open)).toBe(1);

    await ingress.sweepNow();

    expect(refused).toMatchObject({ code: "queue_unavailable" });
    expect(await redis.zcard(open)).toBe(0);
  });
});

describe("handing back", () => {
  test("a job that has shown output does not let its deadline end it", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit({ deadlineMs: 100 });
    const source = await worker.next();
    worker.slots = 0;
    source.say("shown");
    worker.broker.notify(source, true);
    await expect.poll(() => redis.hget(keys.entry(job), "next")).toBe("2");
    await worker.broker.release(source, "handed_back", null);
    await redis.hset(keys.entry(job), "deadline_at", 1);

    await ingress.sweepNow();

    expect(await claimJob(redis, job, "w-other:1")).toMatchObject({ epoch: 2, attempts: 1 });
  });

  test("wakes an idle worker at once and burns no attempt", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const first = await startWorker();
    first.slots = 1;
    const job = await submit();
    const source = await first.next();
    const idle = await startWorker();

    const handedBackAt = performance.now();
    await first.broker.release(source, "handed_back", null);
    const taken = await idle.next();

    // An idle BullMQ worker looks again by itself after five seconds.
    expect(performance.now() - handedBackAt).toBeLessThan(1_000);
    expect(taken.attempt).toMatchObject({ job, epoch: 2, attempts: 1 });
    expect((await ingress.getJob("default", job)).attempts).toBe(1);
  });

  test("leaves a job to another worker when its own slots have filled up meanwhile", async ({
    startWorker,
    submit,
  }) => {
    const full = await startWorker();
    const free = await startWorker();
    full.slots = 0;

    const submittedAt = performance.now();
    const job = await submit();
    const taken = await free.next();

    // The full one was first in line for the queue's word; unheard, it costs two seconds.
    expect(performance.now() - submittedAt).toBeLessThan(1_000);
    expect(taken.attempt.job).toBe(job);
    expect(full.attempts).toEqual([]);
  });

  test("asks the queue once for a job that comes alone", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const isWaiting = "blocked_clients:1";
    await expect.poll(() => redis.info("clients")).toContain(isWaiting);
    await redis.config("RESETSTAT");
    await submit();
    await worker.next();

    await expect.poll(() => redis.info("clients")).toContain(isWaiting);
    expect(await redis.info("commandstats")).toContain("cmdstat_zpopmin:calls=1,");
  });

  test("counts the attempt when the engine failed it", async ({ startWorker, submit }) => {
    const worker = await startWorker();
    await submit();

    await worker.broker.release(await worker.next(), "engine_error", "engine_timeout");

    expect((await worker.next()).attempt).toMatchObject({ epoch: 2, attempts: 2 });
  });
});
