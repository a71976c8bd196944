import { describe, expect } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, claimJob } from "./test-bench.ts";
import { writeTokenIds } from "./token-ids.ts";

describe("a job's attempts", () => {
  test("are told with who made them, when, and why they ended", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await worker.next();
    await worker.broker.release(first, "engine_error", "engine_timeout");
    worker.free(8);
    await worker.broker.release(await worker.next(), "handed_back", null);
    worker.free(8);
    const last = await worker.next();
    const during = await ingress.getAttempts(job);
    await worker.broker.finish(last, { status: "completed", outcome: {}, items: [] });
    const { attempts, forgottenCount } = await ingress.getAttempts(job);

    expect(attempts.map(({ epoch, end, failure }) => [epoch, end, failure])).toEqual([
      [1, "engine_error", "engine_timeout"],
      [2, "handed_back", null],
      [3, "completed", null],
    ]);
    expect(forgottenCount).toBe(0);
    expect(during.attempts.at(-1)).toMatchObject({ epoch: 3, endedAtMs: null, end: null });
    for (const { worker: name, claimedAtMs, endedAtMs } of attempts) {
      expect(name).toMatch(/^w-test-[0-9a-f]{8}$/);
      expect(endedAtMs).toBeGreaterThan(claimedAtMs);
    }
  });

  test("are told with what they went on from, or that they started over", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const first = await worker.next();
    first.say("one ", writeTokenIds([1], { prompt: [7, 8] }));
    await worker.broker.release(first, "handed_back", null);
    worker.free(8);
    await worker.broker.release(await worker.next(), "cannot_continue", null);
    worker.free(8);
    await worker.next();

    const { attempts } = await ingress.getAttempts(job);
    expect(attempts).toMatchObject([
      { from: 0, isReset: false },
      { from: 1, isReset: false, end: "cannot_continue" },
      { from: 0, isReset: true, end: null },
    ]);
  });

  test("end with their worker when it dies, the last one with the job", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();
    const claims = [];
    for (const name of ["a", "b", "c", "d"]) claims.push(await claimJob(redis, job, `w-${name}:1`));

    const { attempts } = await ingress.getAttempts(job);
    expect(claims.at(-1)).toBe("failed");
    expect(attempts.map(({ worker: name, end }) => `${name} ${end}`)).toEqual([
      "w-a worker_lost",
      "w-b worker_lost",
      "w-c worker_lost",
    ]);
  });

  test("end with a cancel, but not what ended before it", async ({
    ingress,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const running = await submit();
    await worker.next();
    await ingress.cancel(await ingress.getJob("default", running));
    worker.slots = 1;
    const waiting = await submit();
    await worker.broker.release(await worker.next(), "handed_back", null);
    await ingress.cancel(await ingress.getJob("default", waiting));

    const ends = await Promise.all(
      [running, waiting].map(async (job) => (await ingress.getAttempts(job)).attempts[0]?.end),
    );
    expect(ends).toEqual(["cancelled", "handed_back"]);
  });

  test("are kept up to sixteen, however often the job goes round", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    for (let round = 0; round < 20; round += 1) {
      await worker.broker.release(await worker.next(), "handed_back", null);
      worker.free(8);
    }
    await worker.next();

    const { attempts, forgottenCount } = await ingress.getAttempts(job);
    const fields = await redis.hkeys(keys.entry(job));
    expect(attempts.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: 16 }, (_, at) => at + 6),
    );
    expect(forgottenCount).toBe(5);
    expect(fields.filter((name) => name.startsWith("attempt"))).not.toContain("attempt:5");
    expect(fields.filter((name) => name.startsWith("attempt_end:"))).toHaveLength(15);
  });

  test("are kept up to sixteen, also where epochs leap", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    for (let round = 0; round < 20; round += 1) {
      if (round === 3) await redis.hset(keys.entry(job), "run", "of another Redis");
      await worker.broker.release(await worker.next(), "handed_back", null);
      worker.free(8);
    }
    await worker.next();

    const { attempts, forgottenCount } = await ingress.getAttempts(job);
    const fields = await redis.hkeys(keys.entry(job));
    expect(attempts.map(({ epoch }) => epoch)).toEqual(
      Array.from({ length: 16 }, (_, at) => at + 1_006),
    );
    expect(forgottenCount).toBe(5);
    expect(fields.filter((name) => name.startsWith("attempt:"))).toHaveLength(16);
    expect(fields.filter((name) => name.startsWith("attempt_end:"))).toHaveLength(15);
  });

  test("cost a job nothing that no worker has had", async ({
    ingress,
    redis,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    const job = await submit();

    await expect(ingress.getAttempts(job)).resolves.toEqual({ attempts: [], forgottenCount: 0 });
    const fields = await redis.hkeys(keys.entry(job));
    expect(fields.filter((name) => name.startsWith("attempt"))).toEqual([]);
  });
});
