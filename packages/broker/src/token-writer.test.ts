import { modelCodeOf, START } from "@headrace/contract";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished } from "vitest";

import { keys } from "./keys.ts";
import { brokerTest as test, delta, TestReader, TestSource } from "./test-bench.ts";

const DONE = { status: "completed", outcome: {}, items: [] } as const;

/** A source that tells when it is asked for what it has. */
class WatchedSource extends TestSource {
  readonly #onTake: () => void;

  constructor(source: TestSource, onTake: () => void) {
    super(source.attempt);
    this.#onTake = onTake;
  }

  override take(limit?: number): ReturnType<TestSource["take"]> {
    this.#onTake();
    return super.take(limit);
  }
}

describe("the writer", () => {
  test("serves those next whom a full call had no room for", async ({ startWorker, submit }) => {
    const worker = await startWorker();
    const turns: string[] = [];
    const watched = async (name: string): Promise<WatchedSource> => {
      await submit();
      const source = new WatchedSource(await worker.next(), () => turns.push(name));
      worker.broker.open(source);
      return source;
    };
    const talkative = await watched("talkative");
    const terse = await watched("terse");
    for (let count = 0; count < 1_000; count += 1) talkative.say("on and on ");
    terse.say("one word");

    worker.broker.notify(talkative, true);
    worker.broker.notify(terse, true);
    await expect.poll(() => turns.length).toBeGreaterThan(3);

    expect(turns.slice(0, 3)).toEqual(["talkative", "terse", "talkative"]);
  });

  test("sends readers only word of what is too big to be sent along", async ({
    ingress,
    redis,
    redisServer,
    startWorker,
    submit,
  }) => {
    const worker = await startWorker();
    const job = await submit();
    const reader = new TestReader();
    await ingress.follow(job, START, reader);
    const source = await worker.next();
    const watcher = await redis.hget(keys.entry(job), "watchers");
    const messages: string[] = [];
    const subscriber = new Redis(redisServer.url);
    onTestFinished(() => subscriber.disconnect());
    subscriber.on("smessage", (_channel: string, message: string) => messages.push(message));
    await subscriber.ssubscribe(keys.inbox(modelCodeOf(job), String(watcher)));
    const [small, big, late] = ["small ", "b".repeat(300_000), "b".repeat(300_001)];

    for (const text of [small, big]) {
      source.say(text);
      worker.broker.notify(source, true);
      await reader.when(({ entries }) => entries.at(-1)?.data === delta(text).data);
    }
    await worker.broker.finish(source, { ...DONE, items: [delta(late)] });
    await reader.whenEnded();

    expect(reader.text).toBe(small + big + late);
    const lines = messages.flatMap((message) => message.split("\n"));
    expect(lines.filter((line) => !line.endsWith("\t"))).toEqual([
      `${job}\t1-1\tdelta\t${delta(small).data}`,
      expect.stringMatching(/\t1-4\tcompleted\t/),
    ]);
    expect(lines.filter((line) => line.endsWith("\t"))).toEqual([
      `${job}\t1-2\t\t`,
      `${job}\t1-3\t\t`,
    ]);
  });
});
