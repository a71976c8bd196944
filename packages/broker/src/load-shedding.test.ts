import { PlatformError, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";

import type { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { brokerTest as test, MODEL, submission, TestReader } from "./test-bench.ts";

const FLOW_MS = 10_000;
const FLOW_FIELDS = 7;
/** Within the last minute, whenever in its ten seconds the test runs. */
const TENS_AGO = 5;
/** Waiting from the start. */
const BACKLOG = 30;
const LONG_MS = 600_000;

/** Have so many jobs started within the last 50 to 60 seconds, of the classes in order. */
async function haveStarted(
  redis: Redis,
  ingress: IngressBroker,
  counts: readonly [number, number, number],
): Promise<void> {
  const { code } = await ingress.getModel(MODEL);
  const [seconds] = await redis.time();
  const ten = Math.floor((Number(seconds) * 1_000) / FLOW_MS) - TENS_AGO;
  await redis.hset(keys.flow(code), String(ten % FLOW_FIELDS), `${ten} ${counts.join(" ")}`);
}

async function fill(ingress: IngressBroker): Promise<void> {
  const job = await submission(ingress, { deadlineMs: LONG_MS });
  for (let count = 0; count < BACKLOG; count += 1) await ingress.submit(job);
}

/** Submit a job that may wait so long. @returns its ETA in seconds, or why it was refused */
async function tryDeadline(
  ingress: IngressBroker,
  seconds: number,
): Promise<{ eta: number | null; error: PlatformError | null }> {
  try {
    const { standing } = await ingress.submit(
      await submission(ingress, { deadlineMs: seconds * 1_000 }),
    );
    return { eta: standing?.etaSeconds ?? null, error: null };
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    return { eta: null, error };
  }
}

/** All that Redis holds, without what the passing of time changes. */
async function snapshot(redis: Redis): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for (const key of (await redis.keys("hr:{*")).toSorted()) {
    const kind = await redis.type(key);
    if (kind === "zset") found[key] = await redis.zrange(key, "0", "-1");
    if (kind !== "hash") continue;
    const { accepted_at: _instant, ...fields } = await redis.hgetall(key);
    found[key] = fields;
  }
  return found;
}

describe("a job that cannot start by its deadline", () => {
  test("is refused at the door, with the wait that is expected", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await haveStarted(redis, ingress, [0, 30, 0]);
    await fill(ingress);

    const { error } = await tryDeadline(ingress, 20);

    // Thirty-one at thirty in fifty to sixty seconds.
    expect(error).toMatchObject({ code: "deadline_unreachable", status: 429, retryable: true });
    expect(error?.message).toMatch(
      /start in about (5\d|6[0-2]) s, and its deadline to start is 20 s/,
    );
    expect(error?.waitMs).toBeGreaterThan(31_000);
    expect(error?.waitMs).toBeLessThan(43_000);
  });

  test("is one whose ETA would be later, and no other", async ({ ingress, redis, startWorker }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await haveStarted(redis, ingress, [10, 20, 0]);
    await fill(ingress);

    const { eta } = await tryDeadline(ingress, 3_600);
    const next = ((eta ?? 0) * (BACKLOG + 2)) / (BACKLOG + 1);
    const late = await tryDeadline(ingress, next * 0.98);
    const inTime = await tryDeadline(ingress, next * 1.05);

    // A third of what starts goes to the class before it.
    expect(eta).toBeGreaterThan(75);
    expect(late.error?.code).toBe("deadline_unreachable");
    expect(inTime.error).toBeNull();
  });

  test("leaves nothing behind, and its Idempotency-Key may be used again", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await haveStarted(redis, ingress, [0, 30, 0]);
    await fill(ingress);
    const choices = { idempotencyKey: "once", key: "k1", limits: { queued_jobs: 1 } };
    const late = await submission(ingress, { ...choices, deadlineMs: 1_000 });
    const before = await snapshot(redis);

    await expect(ingress.submit(late)).rejects.toMatchObject({ code: "deadline_unreachable" });
    const after = await snapshot(redis);
    const later = await ingress.submit(
      await submission(ingress, { ...choices, deadlineMs: LONG_MS }),
    );

    // A key that had limits has had limits, and owes nothing.
    const known = { "hr:{t:default}:owed": { k1: "0" } };
    expect(after).toEqual({ ...before, ...known });
    expect(later.isNew).toBe(true);
  });

  test("is refused to a synchronous caller too", async ({ ingress, redis, startWorker }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await haveStarted(redis, ingress, [0, 30, 0]);
    await fill(ingress);
    const whole = await submission(ingress, { deadlineMs: 1_000 });
    const { idempotencyKey: _key, attachedTo: _nobody, ...call } = whole;

    const submitting = ingress.submitAndFollow(call, new TestReader());

    await expect(submitting).rejects.toMatchObject({ code: "deadline_unreachable" });
    expect(ingress.readerCount).toBe(0);
  });
});

describe("a job is let in whatever its deadline", () => {
  test("while there is no worker: one may be on its way", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await haveStarted(redis, ingress, [0, 30, 0]);
    await fill(ingress);
    await redis.del(keys.workers((await ingress.getModel(MODEL)).code));

    expect((await tryDeadline(ingress, 1)).error).toBeNull();
  });

  test("while a worker waits for jobs", async ({ ingress, redis, startWorker }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await haveStarted(redis, ingress, [0, 30, 0]);
    await fill(ingress);
    await redis.set(keys.idle((await ingress.getModel(MODEL)).code, "v1"), "1");

    expect((await tryDeadline(ingress, 1)).error).toBeNull();
  });

  test.for([
    ["nothing has started lately", 0],
    ["too little has started to know the pace", 9],
  ] as const)("while %s", async ([_when, starts], { ingress, redis, startWorker }) => {
    const worker = await startWorker();
    worker.slots = 0;
    if (starts > 0) await haveStarted(redis, ingress, [0, starts, 0]);
    await fill(ingress);

    expect((await tryDeadline(ingress, 1)).error).toBeNull();
  });

  test("when it is there already", async ({ ingress, redis, startWorker }) => {
    const worker = await startWorker();
    worker.slots = 0;
    await fill(ingress);
    const keyed = await submission(ingress, { idempotencyKey: "once", deadlineMs: 1_000 });
    const { id }: { id: JobId } = await ingress.submit(keyed);
    await haveStarted(redis, ingress, [0, 30, 0]);
    // As if nobody knew whether it was accepted.
    await redis.zadd(keys.reserved("default"), 1, `${id} ${keys.once("default", "once")}`);

    expect(await ingress.submit(keyed)).toMatchObject({ id, isNew: false });
  });
});
