import { newBatchId, newFileId, type BatchStatus } from "@headrace/contract";
import { describe, expect } from "vitest";

import { readRedisMs } from "../clock.ts";
import { keys } from "../keys.ts";
import { objectsOfBatch } from "./batch-record.ts";
import { outputFileId } from "./batch-desk.ts";
import { objectOfFile } from "./file-record.ts";
import { batchTest as test, LEASE_MS, plainBatch } from "./test-batches.ts";

const COUNTS = { total: 3, completed: 2, failed: 1 };

describe("a batch", () => {
  test("is as it was made, for its tenant alone", async ({ batches, make, upload }) => {
    const input = await upload();
    const made = await make({ inputFile: input.id, metadata: { run: "7" } });

    expect(await batches.get("acme", made.id)).toEqual(made);
    expect(made).toMatchObject({
      inputFile: input.id,
      status: "validating",
      metadata: { run: "7" },
      counts: null,
      isHeld: false,
    });
    expect(made.expiresAtMs - made.createdAtMs).toBeCloseTo(86_400_000, -1);
    await expect(batches.get("other", made.id)).rejects.toMatchObject({ code: "batch_not_found" });
    await expect(batches.cancel("other", made.id)).rejects.toMatchObject({
      code: "batch_not_found",
    });
    await expect(batches.get("acme", newBatchId())).rejects.toMatchObject({
      code: "batch_not_found",
    });
  });

  test("needs a file for batches, of its own tenant", async ({ make, upload }) => {
    const foreign = await upload({ tenant: "other" });
    const output = await upload({ purpose: "batch_output" });

    for (const inputFile of [foreign.id, output.id, newFileId()]) {
      await expect(make({ inputFile })).rejects.toMatchObject({
        code: "file_not_found",
        param: "input_file_id",
      });
    }
  });

  test("is made once for one Idempotency-Key", async ({ batches, upload }) => {
    const inputFile = (await upload()).id;
    const form = { ...plainBatch, inputFile, idempotency: { key: "k", digest: "d" } };
    const [first, second] = await Promise.all([batches.create(form), batches.create(form)]);

    expect(second.batch.id).toBe(first.batch.id);
    expect(first.isNew).toBe(!second.isNew);
    await expect(
      batches.create({ ...form, idempotency: { key: "k", digest: "other" } }),
    ).rejects.toMatchObject({ code: "idempotency_key_reused" });
  });

  test("is one of 500 that a tenant may have open", async ({ make, upload }) => {
    const inputFile = (await upload()).id;
    await Promise.all(Array.from({ length: 500 }, () => make({ inputFile })));

    await expect(make({ inputFile })).rejects.toMatchObject({ code: "batch_limit_exceeded" });
    await expect(make({ tenant: "other" })).resolves.toMatchObject({ tenant: "other" });
  });

  test("is listed newest first, in pages", async ({ batches, make }) => {
    const [first, second] = [await make(), await make()];
    await make({ tenant: "other" });

    const page = await batches.list("acme", { limit: 1, after: null });
    expect(page).toMatchObject({ batches: [{ id: second.id }], hasMore: true });
    const rest = await batches.list("acme", { limit: 5, after: second.id });
    expect(rest).toMatchObject({ batches: [{ id: first.id }], hasMore: false });
    await expect(batches.list("acme", { limit: 1, after: newBatchId() })).rejects.toMatchObject({
      code: "batch_not_found",
    });
  });
});

describe("a claim", () => {
  test("is one batcher's, until its lease is over", async ({ desk, make, redis, batches }) => {
    const made = await make();
    const claims = await Promise.all([desk.claim("a", LEASE_MS), desk.claim("b", LEASE_MS)]);

    const first = claims.find((claimed) => claimed !== null);
    expect(claims.filter((claimed) => claimed === null)).toHaveLength(1);
    expect(first).toMatchObject({ batch: { id: made.id }, isResumed: false, checkpoint: null });
    expect((await batches.get("acme", made.id)).isHeld).toBe(true);
    await redis.zadd(keys.openBatches, 1, made.id);
    const second = await desk.claim("b", LEASE_MS);
    expect(second).toMatchObject({ batch: { id: made.id }, isResumed: true });
    expect(second?.epoch).toBeGreaterThan(first?.epoch ?? Infinity);
  });

  test("that is stale writes nothing, and ends nothing", async ({
    desk,
    make,
    redis,
    batches,
    claim,
  }) => {
    const { id } = await make();
    const stale = await claim("a");
    await redis.zadd(keys.openBatches, 1, id);
    const held = await claim("b");

    expect(await desk.write(stale, { to: "in_progress", checkpoint: "{}" })).toEqual({
      isLost: true,
    });
    expect(await desk.renew(stale)).toEqual({ isLost: true });
    expect(await desk.finish(stale, { status: "failed" })).toEqual({ kind: "lost" });
    await desk.release(stale);
    expect(await desk.claim("c", LEASE_MS)).toBeNull();
    expect(await desk.write(held, { to: "in_progress" })).toEqual({
      isLost: false,
      status: "in_progress",
    });
    expect(await batches.get("acme", id)).toMatchObject({ status: "in_progress", counts: null });
  });

  test("that Redis has forgotten is shut out by the next", async ({ desk, make, redis, claim }) => {
    const { id } = await make();
    const first = await claim();
    await redis.hdel(keys.batch(id), "epoch");
    // No Redis is back within the millisecond in which it was lost.
    while ((await readRedisMs(redis)) < first.epoch + 1) await redis.ping();
    await redis.zadd(keys.openBatches, 1, id);
    const second = await claim();

    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(await desk.renew(first)).toEqual({ isLost: true });
  });

  test("goes on from what the one before it wrote", async ({ desk, make, redis, claim }) => {
    const { id } = await make();
    const first = await claim();
    const change = { checkpoint: '{"line":7}', segments: ["1-0", "1-1"], counts: COUNTS } as const;
    await desk.write(first, change);
    await desk.write(first, change); // its answer was lost
    await desk.write(first, { segments: ["1-2"] });
    await redis.zadd(keys.openBatches, 1, id);

    expect(await claim("b")).toMatchObject({
      checkpoint: '{"line":7}',
      segments: ["1-0", "1-1", "1-2"],
      isResumed: true,
      batch: { counts: COUNTS },
    });
    await expect(desk.write(first, { checkpoint: "x".repeat(262_145) })).rejects.toThrow(
      RangeError,
    );
  });

  test("is given back at once by one that is told to stop", async ({ desk, make, claim }) => {
    await make();
    await desk.release(await claim("a"));

    expect((await claim("b")).isResumed).toBe(true);
  });

  test("goes to the tenant with the fewest, then to the window that ends first", async ({
    make,
    claim,
  }) => {
    const slow = await make();
    const urgent = await make({ windowMs: 60_000 });
    const other = await make({ tenant: "other" });

    const order = [await claim(), await claim(), await claim()].map(({ batch }) => batch.id);
    expect(order).toEqual([urgent.id, other.id, slow.id]);
  });
});

describe("the end of a batch", () => {
  test("comes with its files, all in one step", async ({
    desk,
    make,
    files,
    batches,
    redis,
    removals,
    claim,
  }) => {
    const { id } = await make({ outputLifetimeMs: 3_600_000 });
    const held = await claim();
    await desk.write(held, { to: "in_progress", segments: ["1-0"] });
    await desk.write(held, { to: "finalizing" });
    const output = outputFileId(held, "output");
    const end = {
      status: "completed",
      counts: COUNTS,
      files: { output: { id: output, sizeBytes: 12 } },
    } as const;

    expect(await desk.finish(held, end)).toEqual({ kind: "unstored" });
    await removals.plan(objectOfFile(output));
    expect(await desk.finish(held, end)).toEqual({ kind: "ended" });
    expect(await desk.finish(held, end)).toEqual({ kind: "ended" });
    const ended = await batches.get("acme", id);
    expect(ended).toMatchObject({ status: "completed", outputFile: output, errorFile: null });
    expect(ended.counts).toEqual(COUNTS);
    const file = await files.get("acme", output);
    expect(file).toMatchObject({ filename: `${id}_output.jsonl`, purpose: "batch_output" });
    expect((file.expiresAtMs ?? 0) - file.createdAtMs).toBeCloseTo(3_600_000, -1);
    expect(await batches.readSegments(id)).toEqual([]);
    expect(await redis.zrange(keys.removals, "0", "-1")).toEqual([objectsOfBatch(id)]);
    expect(await desk.claim("b", LEASE_MS)).toBeNull();
    expect(await redis.pttl(keys.batch(id))).toBeGreaterThan(0);
    expect(await desk.renew(held)).toEqual({ isLost: true });
  });

  test.for([
    ["validating", "cancelled", "cancelling"],
    ["in_progress", "cancelled", "cancelling"],
    ["finalizing", "completed", null],
    ["completed", "completed", null],
    ["failed", "failed", null],
    ["expired", "expired", null],
    ["cancelling", "cancelled", "cancelling"],
    ["cancelled", "cancelled", "cancelled"],
  ] as const)(
    "when it is cancelled while %s, is %s",
    async ([status, last, answer], { desk, make, batches, claim }) => {
      const { id } = await make();
      const held = await claim();
      if (["in_progress", "finalizing", "completed", "expired"].includes(status)) {
        await desk.write(held, { to: "in_progress" });
      }
      if (status === "finalizing" || status === "completed") {
        await desk.write(held, { to: "finalizing" });
      }
      if (status === "cancelling" || status === "cancelled") await batches.cancel("acme", id);
      if (isEnd(status)) await desk.finish(held, { status });

      const cancelled = batches.cancel("acme", id);
      if (answer === null) {
        await expect(cancelled).rejects.toMatchObject({
          code: "batch_not_cancellable",
          message: `cannot cancel a batch with status '${status}'`,
        });
      } else {
        expect((await cancelled).status).toBe(answer);
      }
      await desk.finish(held, { status: last });
      expect((await batches.get("acme", id)).status).toBe(last);
    },
  );

  test("is cancelled once that is asked for, and nothing else", async ({
    desk,
    make,
    batches,
    claim,
  }) => {
    const { id } = await make();
    const held = await claim();
    await desk.write(held, { to: "in_progress" });
    await batches.cancel("acme", id);

    expect(await desk.write(held, { to: "finalizing", counts: COUNTS })).toEqual({
      isLost: false,
      status: "cancelling",
    });
    for (const status of ["completed", "failed", "expired"] as const) {
      expect(await desk.finish(held, { status })).toEqual({
        kind: "refused",
        status: "cancelling",
      });
    }
    expect(await desk.finish(held, { status: "cancelled" })).toEqual({ kind: "ended" });
    expect(await batches.get("acme", id)).toMatchObject({ status: "cancelled", counts: COUNTS });
  });

  test("is told once, under one id, even when a batcher dies before it tells", async ({
    desk,
    make,
    ended,
    endpoints,
    redis,
    claim,
  }) => {
    await endpoints.create("acme", { url: "https://example.com/hook", event_types: ["batch.*"] });
    const { id } = await make();
    const errors = [{ code: "invalid_json_line", line: 1, message: "no JSON", param: null }];
    await desk.finish(await claim(), { status: "failed", errors });
    const due = await redis.zrange(keys.endedBatches, "0", "-1", "WITHSCORES");

    expect(await ended.tell()).toBe(1);
    expect(await ended.tell()).toBe(0);
    await redis.zadd(keys.endedBatches, Number(due[1]), id); // as though it had died right after
    expect(await ended.tell()).toBe(1);
    const deliveries = await redis.keys("hr:{webhooks}:delivery:*");
    expect(deliveries).toHaveLength(1);
    const event = JSON.parse((await redis.hget(deliveries[0] ?? "", "event")) ?? "");
    expect(event).toMatchObject({ type: "batch.failed", data: { id } });
  });
});

function isEnd(status: BatchStatus): status is "completed" | "failed" | "expired" | "cancelled" {
  return ["completed", "failed", "expired", "cancelled"].includes(status);
}
