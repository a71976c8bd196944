import type { JobId, KeyLimits } from "@headrace/contract";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, vi } from "vitest";

import type { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { brokerTest as test, submission, TestReader, type TestWorker } from "./test-bench.ts";
import { readUsage, toDay } from "./usage-book.ts";

const KEY = "limited1";
const LIMITS: KeyLimits = {
  requests_per_minute: 20,
  tokens_per_minute: 1_000_000,
  queued_jobs: 20,
  monthly_tokens: 1_000_000,
};
const USAGE = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
const DAY_MS = 86_400_000;

/**
 * Have Redis run every script twice from here on, and answer the second time, as when the first reply
 * is lost and the call is sent again. Scripts that Redis has not been sent yet run once.
 *
 * @returns the scripts that were run twice, by their hashes
 */
function loseEveryReply(): ReadonlySet<string> {
  const twice = new Set<string>();
  const { evalsha } = Redis.prototype; // oxlint-disable-line typescript/unbound-method -- always applied to a connection
  const spy = vi.spyOn(Redis.prototype, "evalsha");
  spy.mockImplementation(async function runTwice(this: Redis, ...call) {
    await evalsha.apply(this, call);
    twice.add(String(call[0]));
    return evalsha.apply(this, call);
  });
  onTestFinished(() => spy.mockRestore());
  return twice;
}

/** One of each kind of life, all of one tenant. */
class Lives {
  readonly #tenant: string;
  readonly #ingress: IngressBroker;
  readonly #worker: TestWorker;
  readonly #readers: TestReader[] = [];
  /** Requests that the key had left after its first submit: later, time has given some back. */
  #left: number | null = null;

  constructor(tenant: string, ingress: IngressBroker, worker: TestWorker) {
    this.#tenant = tenant;
    this.#ingress = ingress;
    this.#worker = worker;
  }

  /** Live all of them, one after the other, and settle what they used. */
  async live(): Promise<void> {
    await this.#completeOne();
    await this.#completeAfterFailure();
    await this.#cancelRunning();
    await this.#repeat();
    this.#worker.slots = 0;
    await this.#cancelQueued();
    await this.#expire();
    await this.#ingress.settleNow();
  }

  /** What became of them, but for what is new each time: ids and instants. */
  async read(redis: Redis): Promise<unknown> {
    const tenant = this.#tenant;
    const [from, to] = [toDay(Date.now() - DAY_MS), toDay(Date.now() + DAY_MS)];
    const rows = await readUsage(redis, tenant, { from, to });
    const held = await redis.zcard(keys.held(tenant, KEY, "later"));
    // Whether the sweep has come by since decides only if the 0 is still written down.
    const owed = Number((await redis.hget(keys.owed(tenant), KEY)) ?? 0);
    const jobs = await redis.zrange(keys.jobs(tenant), "0", "-1");
    const booked = await redis.zcard(keys.reserved(tenant));
    const usage = rows.map(({ jobs: count, input_tokens: input, output_tokens: output }) => [
      count,
      input,
      output,
    ]);
    const logs = this.#readers.map(({ entries }) => entries.map(({ id, type }) => `${id} ${type}`));
    return { held, owed, booked, jobCount: jobs.length, usage, logs, left: this.#left };
  }

  async #submit(
    choices: { readonly deadlineMs?: number; readonly idempotencyKey?: string } = {},
  ): Promise<{ readonly id: JobId; readonly reader: TestReader }> {
    const asked = await submission(this.#ingress, {
      tenant: this.#tenant,
      key: KEY,
      limits: LIMITS,
      ...choices,
    });
    const { id } = await this.#ingress.submit({
      ...asked,
      onAllowance: ({ requests }) => (this.#left ??= requests?.remaining ?? null),
    });
    const reader = new TestReader();
    this.#readers.push(reader);
    await this.#ingress.follow(id, { epoch: 0, index: 0 }, reader);
    return { id, reader };
  }

  async #completeOne(idempotencyKey?: string): Promise<void> {
    const { reader } = await this.#submit(idempotencyKey === undefined ? {} : { idempotencyKey });
    await this.#runNext();
    await reader.whenEnded();
  }

  async #completeAfterFailure(): Promise<void> {
    const { reader } = await this.#submit();
    const source = await this.#worker.next();
    await this.#worker.broker.release(source, "engine_error", "engine_failed");
    this.#worker.takeMore(1);
    await this.#runNext();
    await reader.whenEnded();
  }

  async #cancelRunning(): Promise<void> {
    const { id, reader } = await this.#submit();
    const source = await this.#worker.next();
    await this.#ingress.cancel(await this.#ingress.getJob(this.#tenant, id));
    await this.#worker.broker.abandon(source, await source.lost);
    this.#worker.takeMore(1);
    await reader.whenEnded();
  }

  /** The same submit again, under its key, once its job has ended. */
  async #repeat(): Promise<void> {
    const idempotencyKey = `${this.#tenant} again`;
    await this.#completeOne(idempotencyKey);
    const { reader } = await this.#submit({ idempotencyKey });
    await reader.whenEnded();
  }

  async #cancelQueued(): Promise<void> {
    const { id, reader } = await this.#submit();
    await this.#ingress.cancel(await this.#ingress.getJob(this.#tenant, id));
    await reader.whenEnded();
  }

  async #expire(): Promise<void> {
    const { reader } = await this.#submit({ deadlineMs: 0 });
    await this.#ingress.sweepNow();
    await reader.whenEnded();
  }

  /** Run the next job to its end, in two appends. */
  async #runNext(): Promise<void> {
    const source = await this.#worker.next();
    for (const text of ["alpha ", "beta "]) {
      source.say(text);
      this.#worker.broker.notify(source, true);
      await this.#readers.at(-1)?.when((reader) => reader.text.endsWith(text));
    }
    const outcome = { usage: USAGE };
    await this.#worker.broker.finish(source, { status: "completed", outcome, items: [] });
    this.#worker.takeMore(1);
  }
}

describe("a Redis whose every reply to a script is lost once", () => {
  test("does nothing twice: not to jobs, readers, limits or usage", async ({
    ingress,
    redis,
    startWorker,
  }) => {
    const worker = await startWorker();
    const once = new Lives("once", ingress, worker);
    await once.live();
    worker.free(8);
    const scripts = loseEveryReply();
    const twice = new Lives("twice", ingress, worker);
    await twice.live();

    expect(await twice.read(redis)).toEqual(await once.read(redis));
    expect(scripts.size).toBeGreaterThanOrEqual(10);
  });
});
