import { PlatformError } from "@headrace/contract";
import { describe, expect, vi } from "vitest";

import { batcherTest as test, idsOf, lines } from "./testing/batcher-test.ts";

const TIMEOUT_MS = 60_000;
/** Longer than any of a batch's strands takes to notice that Redis is away. */
const NOTICE_MS = 10_000;

describe("a batch", { timeout: TIMEOUT_MS }, () => {
  test("goes on where a Redis that was killed comes back", async ({
    redisServer,
    redis,
    worker,
    startBatcher,
    create,
    whenEnded,
    read,
  }) => {
    // Its reconnecting is of no interest.
    redis.on("error", () => {});
    let isDown = false;
    const { troubles } = await startBatcher();
    worker.answer = async ({ prompt }) => {
      if (prompt === "100" && !isDown) {
        isDown = true;
        await redisServer.kill();
        // Until what renews the lease has met the outage, too.
        await vi.waitFor(() => expect(troubles.join()).toContain("cannot be kept"), NOTICE_MS);
        await redisServer.restart();
      }
      return prompt;
    };
    const batch = await create(lines(200));

    const ended = await whenEnded(batch);

    expect(isDown).toBe(true);
    expect(troubles.join()).not.toContain("cannot go on");
    expect(ended).toMatchObject({
      status: "completed",
      counts: { total: 200, completed: 200, failed: 0 },
    });
    const answers = await read(ended.outputFile);
    expect(idsOf(answers)).toEqual(
      lines(200)
        .map((_, i) => `${i}`)
        .toSorted(),
    );
    expect(Object.values(worker.counts).every((count) => count === 1)).toBe(true);
  });

  test.for([
    ["storage_unavailable", "storage"],
    ["storage_full", "storage_space"],
  ] as const)(
    "waits where storage fails with %s, in whatever it does, and says so",
    async ([code, wait], { objects, worker, startBatcher, create, when, whenEnded, read }) => {
      const batch = await create(lines(20));
      let away: string = "reading";
      const refused = new Set<string>();
      objects.onCall = (call, key) => {
        const phase = phaseOf(call, key);
        if (phase !== away) return;
        refused.add(phase);
        throw new PlatformError(code, "not now");
      };
      await startBatcher();
      for (const phase of ["reading", "storing", "assembling"]) {
        away = phase;
        await when(batch, ({ progress }) => refused.has(phase) && progress?.waiting_for === wait);
      }
      away = "nothing";

      const ended = await whenEnded(batch);

      expect(worker.calls).toHaveLength(20);
      expect(ended).toMatchObject({
        counts: { total: 20, completed: 20, failed: 0 },
        progress: { tokens: 100, waiting_for: null },
      });
      expect(await read(ended.outputFile)).toHaveLength(20);
    },
  );

  test("keeps what is said of it where its files cannot be assembled", async ({
    objects,
    worker,
    startBatcher,
    create,
    when,
  }) => {
    const batch = await create(lines(20));
    objects.onCall = (call, key) => {
      if (phaseOf(call, key) === "assembling") throw new PlatformError("storage_full", "not now");
    };
    await startBatcher({ gpuHourPrice: 3_600 });

    const { progress } = await when(
      batch,
      (found) => found.status === "finalizing" && found.progress?.waiting_for !== null,
    );

    expect(worker.calls).toHaveLength(20);
    expect(progress).toEqual({
      tokens: 100,
      tokens_per_second: null,
      lines_per_second: null,
      eta_seconds: null,
      cost: 10,
      bottleneck: "assembly",
      waiting_for: "storage_space",
    });
  });

  test.for(["cancelled", "expired"] as const)(
    "that nothing was done of is %s although its input cannot be read",
    async (status, { objects, worker, registry, startBatcher, create, when, whenEnded }) => {
      const windowMs = status === "expired" ? 1_500 : 60_000;
      const batch = await create(lines(3), { windowMs });
      objects.onCall = () => {
        throw new PlatformError("storage_unavailable", "not now");
      };
      await startBatcher();
      await when(batch, ({ progress }) => progress?.waiting_for === "storage");
      if (status === "cancelled") await registry.cancel(batch.tenant, batch.id);

      const ended = await whenEnded(batch);

      expect(ended).toMatchObject({
        status,
        counts: { total: 0, completed: 0, failed: 0 },
        outputFile: null,
        errorFile: null,
      });
      expect(worker.calls).toEqual([]);
    },
  );

  test("is given back at once while its files are assembled, and assembled by the next", async ({
    objects,
    worker,
    startBatcher,
    create,
    when,
    whenEnded,
    read,
  }) => {
    const batch = await create(lines(20));
    const assembling = Promise.withResolvers<void>();
    const stopped = Promise.withResolvers<void>();
    objects.onCall = async (call, key) => {
      if (call !== "read" || !key.startsWith("batches/")) return;
      assembling.resolve();
      await stopped.promise;
    };
    const { stop } = await startBatcher();
    await assembling.promise;
    const stopping = stop();
    stopped.resolve();
    await stopping;
    const left = await when(batch, () => true);
    await startBatcher();

    const ended = await whenEnded(batch);

    expect(left).toMatchObject({ status: "finalizing", isHeld: false });
    expect(ended).toMatchObject({ status: "completed", counts: { completed: 20 } });
    expect(await read(ended.outputFile)).toHaveLength(20);
    expect(worker.calls).toHaveLength(20);
  });
});

function phaseOf(call: string, key: string): string | null {
  if (call === "read" && key.startsWith("files/")) return "reading";
  if (call === "put" && key.startsWith("batches/")) return "storing";
  if (call === "put" && key.startsWith("files/")) return "assembling";
  return null;
}
