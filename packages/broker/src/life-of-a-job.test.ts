import { modelCodeOf, START, type Cursor } from "@headrace/contract";
import { describe, expect, onTestFinished } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, newKey, submission, TestReader } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {}, items: [] } as const;

describe("a job's way", () => {
  test("leads from submit over a worker to a reader", async ({ ingress, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    const source = await worker.next();

    source.say("Hello");
    worker.broker.notify(source, true);
    await reader.when(({ text }) => text === "Hello");
    source.say(", world");
    const lost = await worker.broker.finish(source, {
      status: "completed",
      outcome: { usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } },
      items: source.take(),
    });
    const end = await reader.whenEnded();

    expect(lost).toBeNull();
    expect(reader.text).toBe("Hello, world");
    expect(reader.entries.map(({ id, type }) => `${id} ${type}`)).toEqual([
      "1-0 attempt",
      "1-1 delta",
      "1-2 delta",
      "1-3 completed",
    ]);
    expect(JSON.parse(end.data)).toMatchObject({
      attempts: 1,
      outcome: { usage: { total_tokens: 3 } },
    });
    const record = await ingress.getJob("default", job);
    expect(record.status).toBe("completed");
    expect(record.end?.at.first_token).toBeLessThan(record.end?.at.ended ?? 0);
  });

  test("leaves nothing in the queue once it is over", async ({ redis, startWorker, submit }) => {
    const worker = await startWorker();
    const job = await submit();
    await worker.broker.finish(await worker.next(), DONE);

    const ofJob = (await redis.keys(`*${job}*`)).map((key) =>
      key.replace(/.*\}/, "").replace(job, ""),
    );
    const open = await redis.zcard(keys.open(modelCodeOf(job)));
    const queued = await redis.zcard(keys.queue(modelCodeOf(job), "v1", "prioritized"));

    expect(ofJob.toSorted()).toEqual([":job:", ":log:"]);
    expect([open, queued]).toEqual([0, 0]);
  });

  test("replays from any cursor without gap or repeat", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    const pieces = Array.from({ length: 9 }, (_, at) => `${at} `);
    for (const piece of pieces) source.say(piece);
    await worker.broker.finish(source, { ...DONE, items: source.take() });

    const texts = [];
    for (let index = 0; index <= pieces.length; index += 1) {
      const reader = new TestReader();
      await ingress.follow(job, { epoch: 1, index }, reader);
      await reader.whenEnded();
      texts.push(reader.text);
    }

    expect(texts).toEqual(pieces.map((_, at) => pieces.slice(at).join("")).concat(""));
  });

  test("gives a reader that joins in the middle of a burst every entry once", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    const readers: TestReader[] = [];
    let expected = "";

    for (let at = 0; at < 200; at += 1) {
      source.say(`${at} `);
      expected += `${at} `;
      worker.broker.notify(source, true);
      if (at % 10 === 0) {
        const reader = new TestReader();
        readers.push(reader);
        await ingress.follow(job, START, reader);
      }
    }
    await worker.broker.finish(source, { ...DONE, items: source.take() });
    await Promise.all(readers.map((reader) => reader.whenEnded()));

    expect(readers.map(({ text }) => text)).toEqual(readers.map(() => expected));
  });

  test("keeps nothing for a reader that has no room, and goes on where it stopped", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const source = await worker.next();
    const reader = new TestReader();
    reader.appetite = 3;
    const follower = await ingress.follow(job, START, reader);
    for (const text of ["a", "b", "c", "d"]) source.say(text);
    await worker.broker.finish(source, { ...DONE, items: source.take() });
    await reader.when(({ entries }) => entries.length === 3);

    expect(reader.text).toBe("ab");

    reader.appetite = Number.POSITIVE_INFINITY;
    follower.resume();
    await reader.whenEnded();
    expect(reader.text).toBe("abcd");
  });

  test("reaches a reader whose messages are all lost", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    const source = await worker.next();
    await redis.hdel(keys.entry(job), "watchers");

    source.say("still here");
    await worker.broker.finish(source, { ...DONE, items: source.take() });
    await reader.whenEnded();

    expect(reader.text).toBe("still here");
  });

  test("ends in calls of bounded size, however much output came with the end", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    const source = await worker.next();
    const pieces = Array.from({ length: 1_000 }, (_, at) => `${at} `);
    for (const piece of pieces) source.say(piece);
    const monitor = await redis.monitor();
    onTestFinished(() => monitor.disconnect());
    const entriesPerCall: number[] = [];
    monitor.on("monitor", (_time: string, command: readonly string[]) => {
      const types = command.filter((part) => part === "delta" || part === "completed");
      if (/^eval/i.test(command[0] ?? "")) entriesPerCall.push(types.length);
    });

    await worker.broker.finish(source, { ...DONE, items: source.take() });
    const end = await reader.whenEnded();

    expect(end.id).toBe("1-1001");
    expect(reader.text).toBe(pieces.join(""));
    await expect.poll(() => entriesPerCall.includes(233)).toBe(true);
    expect(Math.max(...entriesPerCall)).toBe(256);
  });

  test("tells a reader when the job is deleted under it", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    await worker.broker.finish(await worker.next(), DONE);
    const beyond: Cursor = { epoch: 1, index: 1 };
    const reader = new TestReader();
    await ingress.follow(job, beyond, reader);

    await ingress.deleteJob(await ingress.getJob("default", job));
    await reader.when(({ isGone }) => isGone);

    expect(reader.entries).toEqual([]);
    await expect(ingress.getJob("default", job)).rejects.toMatchObject({ code: "job_not_found" });
  });
});

describe("an Idempotency-Key", () => {
  test("makes one job of a hundred parallel submits", async ({ ingress, startWorker }) => {
    await startWorker();
    const same = await submission(ingress, { idempotencyKey: newKey() });

    const submitted = await Promise.all(Array.from({ length: 100 }, () => ingress.submit(same)));

    expect(new Set(submitted.map(({ id }) => id)).size).toBe(1);
    expect(submitted.filter(({ isNew }) => isNew).length).toBe(1);
  });

  test("is refused for another request", async ({ ingress, startWorker }) => {
    await startWorker();
    const idempotencyKey = newKey();
    await ingress.submit(await submission(ingress, { idempotencyKey }));

    const other = await submission(ingress, { idempotencyKey, metadata: { other: "yes" } });

    await expect(ingress.submit(other)).rejects.toMatchObject({ code: "idempotency_key_reused" });
  });

  test("never runs a job again that has ended and is forgotten", async ({
    ingress,
    startWorker,
  }) => {
    const worker = await startWorker();
    const same = await submission(ingress, { idempotencyKey: newKey() });
    const { id } = await ingress.submit(same);
    await worker.broker.finish(await worker.next(), DONE);
    await ingress.forget("default", id);

    await ingress.sweepNow();
    await expect(ingress.submit(same)).rejects.toMatchObject({ code: "job_not_found" });
  });
});

describe("another tenant", () => {
  test("is told of a job what it is told of none", async ({ ingress, startWorker, submit }) => {
    await startWorker();
    const job = await submit();

    await expect(ingress.getJob("other", job)).rejects.toMatchObject({
      code: "job_not_found",
      message: `there is no job ${job}`,
    });
  });
});
