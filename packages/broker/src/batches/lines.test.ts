import { setTimeout as delay } from "node:timers/promises";

import { modelCodeOf, newBatchId, START, type BatchId } from "@headrace/contract";
import { describe, expect } from "vitest";

import { keys } from "../keys.ts";
import { Settler } from "../settler.ts";
import { brokerTest, MODEL, submission } from "../test-bench.ts";
import type { LogEntry } from "../token-log.ts";
import { readUsage, toDay, UsageBook } from "../usage-book.ts";
import { ModelRegistry } from "../model-registry.ts";
import { WebhookDesk } from "../webhooks/desk.ts";
import { EndedJobs } from "../webhooks/ended-jobs.ts";
import { EndpointRegistry } from "../webhooks/endpoint-registry.ts";
import { HoldSweep } from "../hold-sweep.ts";
import { PassBudget } from "../pass-budget.ts";
import { BatchBroker } from "./batch-broker.ts";
import type { SubmittedLine } from "./line-desk.ts";

const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
const READY_MS = 5_000;
const HOUR_MS = 3_600_000;
const SIGN_OF_LIFE_MS = 600;

const test = brokerTest
  .extend("batcher", async ({ redisServer, redis, reports }, { onCleanup }) => {
    await redis.ping();
    const batcher = new BatchBroker({
      redisUrl: redisServer.url,
      durability: "redis",
      report: (error) => reports.push(error),
    });
    onCleanup(() => batcher.close());
    await batcher.assertReady(READY_MS);
    return batcher;
  })
  .extend("batch", () => newBatchId())
  .extend(
    "submitLine",
    async ({ ingress, batcher, batch }) =>
      async (line = 0, choices: Parameters<typeof submission>[1] = {}): Promise<SubmittedLine> => {
        const whole = await submission(ingress, { priority: "batch", ...choices });
        return batcher.submitLine({ batch, line, nth: 0 }, whole);
      },
  );

function whose(
  batch: BatchId,
  line: SubmittedLine,
): [ReturnType<typeof modelCodeOf>, BatchId, number] {
  return [modelCodeOf(line.id), batch, 100];
}

function deltasOf(log: readonly LogEntry[]): number {
  return log.filter(({ type }) => type === "delta").length;
}

describe("a line of a batch", () => {
  test("leads from its batch to its answer, and leaves nothing once it is forgotten", async ({
    redis,
    startWorker,
    batcher,
    batch,
    submitLine,
  }) => {
    const worker = await startWorker();
    const line = await submitLine();
    const source = await worker.next();
    source.say("Hello");
    await worker.broker.finish(source, {
      status: "completed",
      outcome: { usage: USAGE },
      items: source.take(),
    });

    const ended = await batcher.takeEndedLines(...whose(batch, line));
    const again = await batcher.takeEndedLines(...whose(batch, line));
    const [found, unknown] = await batcher.findLines([line.id, (await submitLine(1)).id]);
    const log = await batcher.readLog(line.id, START, 100);
    await batcher.forgetLines([line]);
    const left = await redis.keys(`*${line.id}*`);

    expect(ended).toEqual([line.id]);
    expect(again).toEqual([]);
    expect(found).toMatchObject({ status: "completed", end: { outcome: { usage: USAGE } } });
    expect(unknown).toMatchObject({ end: null });
    expect(log.map(({ type }) => type)).toEqual(["attempt", "delta", "completed"]);
    expect(left).toEqual([]);
  });

  test("is one job however often it is submitted, also once it has ended", async ({
    startWorker,
    submitLine,
  }) => {
    const worker = await startWorker();
    const [first, second] = await Promise.all([submitLine(), submitLine()]);
    await worker.broker.finish(await worker.next(), {
      status: "completed",
      outcome: {},
      items: [],
    });
    const third = await submitLine();
    const other = await submitLine(1);
    const next = await worker.next();

    expect([second.id, third.id]).toEqual([first.id, first.id]);
    expect(third.status).toBe("completed");
    expect(next.attempt.job).toBe(other.id);
    expect(worker.attempts).toEqual([]);
  });

  test("is written a few times a second, since nobody reads along, and others as their tokens come", async ({
    startWorker,
    submit,
    batcher,
    submitLine,
  }) => {
    const worker = await startWorker();
    const jobs = [(await submitLine()).id, await submit()];
    const sources = [await worker.next(), await worker.next()];
    for (let token = 0; token < 8; token += 1) {
      for (const source of sources) {
        source.say("a ");
        worker.broker.notify(source, token === 0);
      }
      await delay(40);
    }
    const readAll = (): Promise<LogEntry[][]> =>
      Promise.all(jobs.map((job) => batcher.readLog(job, START, 100)));
    const [early = [], others = []] = await readAll();
    await delay(SIGN_OF_LIFE_MS);
    const [late = []] = await readAll();

    expect(sources.map(({ attempt }) => attempt.isUnread)).toEqual([true, false]);
    expect(deltasOf(early)).toBe(0);
    expect(deltasOf(others)).toBeGreaterThan(5);
    expect(deltasOf(late)).toBe(8);
  });

  test("is counted in usage, and in no list, and no webhook tells of it", async ({
    redis,
    ingress,
    startWorker,
    submitLine,
  }) => {
    const worker = await startWorker();
    const registry = new EndpointRegistry(redis, Date.now);
    const takers = [new UsageBook(redis, 0), new EndedJobs(new WebhookDesk(redis, registry))];
    const models = new ModelRegistry(redis);
    const settler = new Settler({ redis, models, takers, report: () => {} }, "i-test");
    await submitLine(0, { webhook: "https://example.com/hook" });
    await worker.broker.finish(await worker.next(), {
      status: "completed",
      outcome: { usage: USAGE },
      items: [],
    });

    const settled = await settler.run();
    const day = toDay(Date.now());
    const rows = await readUsage(redis, "default", { from: day, to: day });
    const listed = await ingress.listJobs("default", {
      status: null,
      model: null,
      limit: 10,
      after: null,
    });

    expect(settled).toBe(1);
    expect(rows).toMatchObject([{ model: MODEL, jobs: 1, input_tokens: 10, output_tokens: 5 }]);
    expect(listed.jobs).toEqual([]);
    expect(await redis.keys("hr:{webhooks}:*")).toEqual([]);
  });

  test("is refused once its key's budget is spent or held, and held once", async ({
    redis,
    startWorker,
    batcher,
    submitLine,
  }) => {
    await startWorker();
    const request = { model: MODEL, messages: [{ role: "user", content: "Hi" }], max_tokens: 50 };
    const limited = { request, limits: { monthly_tokens: 100, requests_per_minute: 1 } };
    const line = await submitLine(0, limited);
    await submitLine(0, limited);
    const owed = Number(await redis.hget(keys.owed("default"), "root"));

    await expect(submitLine(1, limited)).rejects.toMatchObject({ code: "insufficient_quota" });
    await batcher.forgetLines([line]);
    const next = await submitLine(1, limited);

    expect(owed).toBe(line.hold?.tokens);
    expect(next.hold?.kind).toBe("line");
    expect(await redis.hget(keys.owed("default"), "root")).toBe(String(owed));
  });

  test("gives no limit a minute back what it never took of it", async ({
    redis,
    startWorker,
    submit,
    batcher,
    submitLine,
  }) => {
    await startWorker();
    const limits = { monthly_tokens: 100_000, tokens_per_minute: 100_000 };
    await submit({ limits });
    const before = await redis.hgetall(keys.buckets("default", "root"));
    const line = await submitLine(0, { limits });
    await batcher.forgetLines([line]);

    const after = await redis.hgetall(keys.buckets("default", "root"));

    expect(Object.keys(before)).not.toEqual([]);
    expect(after).toEqual(before);
  });

  test("gives its hold back through the sweep when its batcher is gone", async ({
    redis,
    startWorker,
    submitLine,
  }) => {
    await startWorker();
    const line = await submitLine(0, { limits: { monthly_tokens: 100_000 } });
    await redis.unlink(keys.entry(line.id), keys.log(line.id));

    await new HoldSweep(redis).run("default", Date.now() + HOUR_MS, new PassBudget(100));

    expect(await redis.zcard(keys.held("default", "root", "line"))).toBe(0);
    expect(await redis.hget(keys.owed("default"), "root")).toBe("0");
  });
});
