import { objectOfFile } from "@headrace/broker";
import { describe, expect } from "vitest";

import { batcherTest as test, idsOf, line, lines } from "./testing/batcher-test.ts";

const TIMEOUT_MS = 30_000;

describe("a batch", { timeout: TIMEOUT_MS }, () => {
  test("for a model that nobody serves can be read all the same, however long its name is", async ({
    worker,
    startBatcher,
    create,
    whenEnded,
  }) => {
    const model = "m".repeat(100_000);
    await startBatcher();

    const ended = await whenEnded(await create([line("a", { model })]));

    expect(ended).toMatchObject({ status: "failed", errors: [{ code: "model_not_found" }] });
    expect(worker.calls).toEqual([]);
  });

  test("whose window was over before anybody had it says so of each line", async ({
    worker,
    startBatcher,
    create,
    whenEnded,
    read,
  }) => {
    const batch = await create(lines(50), { windowMs: 1 });
    await startBatcher();

    const ended = await whenEnded(batch);

    expect(ended).toMatchObject({
      status: "expired",
      counts: { total: 50, completed: 0, failed: 50 },
      outputFile: null,
    });
    const errors = await read(ended.errorFile);
    expect(idsOf(errors)).toEqual(
      lines(50)
        .map((_, i) => `${i}`)
        .toSorted(),
    );
    expect(errors.every(({ error }) => error?.code === "batch_expired")).toBe(true);
    expect(worker.calls).toEqual([]);
  });

  test.for(["cancelled", "expired"] as const)(
    "that is %s in the midst keeps what is done, and ends what is not",
    async (status, { redis, registry, worker, startBatcher, create, when, whenEnded, read }) => {
      const ended: string[] = [];
      worker.answer = async ({ prompt, whenLost }) => {
        if (Number(prompt) < 10) return prompt;
        await whenLost;
        ended.push(prompt);
        return null;
      };
      const windowMs = status === "expired" ? 4_000 : 60_000;
      const batch = await create(lines(3_000), { windowMs });
      await startBatcher();
      await when(batch, ({ counts }) => counts?.completed === 10);
      if (status === "cancelled") await registry.cancel(batch.tenant, batch.id);

      const record = await whenEnded(batch);

      expect(record).toMatchObject({
        status,
        counts: { total: 3_000, completed: 10, failed: 2_990 },
        usage: { total_tokens: 50 },
      });
      const errors = await read(record.errorFile);
      const answers = await read(record.outputFile);
      expect(answers).toHaveLength(10);
      expect(new Set(idsOf([...answers, ...errors])).size).toBe(3_000);
      expect(new Set(errors.map(({ error }) => error?.code))).toEqual(new Set([`batch_${status}`]));
      // A worker is told at once, and lets go of its engine a moment later.
      await expect.poll(() => ended.length, { timeout: 5_000 }).toBe(worker.calls.length - 10);
      expect(await redis.keys("hr:{*}:job:*")).toEqual([]);
    },
  );

  test("that is cancelled while a faulty file is read is cancelled, not failed", async ({
    objects,
    registry,
    startBatcher,
    create,
    whenEnded,
  }) => {
    const batch = await create(Buffer.from("{"));
    objects.onCall = async (call, key) => {
      if (call !== "read" || key !== objectOfFile(batch.inputFile)) return;
      await registry.cancel(batch.tenant, batch.id);
    };
    await startBatcher();

    expect(await whenEnded(batch)).toMatchObject({ status: "cancelled", errors: null });
  });

  test("cannot be cancelled while its files are assembled", async ({
    objects,
    registry,
    worker,
    startBatcher,
    create,
    whenEnded,
  }) => {
    const batch = await create(lines(5));
    let refusal: unknown = null;
    objects.onCall = async (call, key) => {
      if (call !== "put" || !key.startsWith("files/")) return;
      refusal = await registry.cancel(batch.tenant, batch.id).catch((error: unknown) => error);
    };
    await startBatcher();

    const ended = await whenEnded(batch);

    expect(refusal).toMatchObject({ code: "batch_not_cancellable" });
    expect(ended.status).toBe("completed");
    expect(worker.calls).toHaveLength(5);
  });
});
