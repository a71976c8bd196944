import { modelCodeSchema, newJobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";

import { BookingSweep } from "./booking-sweep.ts";
import { keys } from "./keys.ts";
import { brokerTest as test } from "./test-bench.ts";
import { enterTenant } from "./tenant-rounds.ts";

const CODE = modelCodeSchema.parse("abc123");
const TENANTS = 5_000;
/** A pass' own bound, and what scripts call for it, which Redis counts as well. */
const MOST_COMMANDS = 4_500;
/** Passes are 5 s apart, and a booking that came to nothing lives for a minute. */
const MOST_PASSES = 24;

const nameOf = (at: number): string => `tenant-${at}`;
const ALL = Array.from({ length: TENANTS }, (_tenant, at) => nameOf(at));

async function countCommands(redis: Redis): Promise<number> {
  // All that there were before this question.
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]) - 1;
}

/** Enter tenants as if it had been long ago. */
async function enterAll(redis: Redis): Promise<void> {
  await redis.zadd(keys.booked, ...ALL.flatMap((tenant) => [1, tenant]));
}

/** Give each of the tenants a job in its list that is no more. */
async function bookGone(redis: Redis): Promise<void> {
  const job = newJobId(CODE);
  await Promise.all(ALL.map((tenant) => redis.zadd(keys.jobs(tenant), 1, job)));
}

describe("going round thousands of tenants", () => {
  test("takes as many commands a pass as for hundreds, and comes to all of them", async ({
    redis,
  }) => {
    await enterAll(redis);
    await bookGone(redis);
    const sweep = new BookingSweep(redis);
    const commands: number[] = [];

    while ((await redis.exists(...ALL.map(keys.jobs))) > 0 && commands.length < MOST_PASSES) {
      const before = await countCommands(redis);
      await sweep.run(Date.now());
      commands.push((await countCommands(redis)) - before);
    }

    expect(await redis.exists(...ALL.map(keys.jobs))).toBe(0);
    expect(commands.length).toBeGreaterThan(5);
    expect(Math.max(...commands)).toBeLessThan(MOST_COMMANDS);
  });

  test("lets those leave whose slots hold nothing, unless one was entered since", async ({
    redis,
  }) => {
    await enterAll(redis);
    await enterTenant(redis, nameOf(7));
    await redis.zadd(keys.jobs(nameOf(8)), Date.now(), newJobId(CODE));
    const sweep = new BookingSweep(redis);

    let passes = 0;
    while ((await redis.zcard(keys.booked)) > 2 && passes < MOST_PASSES) {
      await sweep.run(Date.now());
      passes += 1;
    }

    const left = await redis.zrange(keys.booked, "0", "-1");
    expect(left.toSorted()).toEqual([nameOf(7), nameOf(8)]);
  });

  test("takes over those whom an ingress of an earlier version has entered", async ({ redis }) => {
    await redis.sadd(keys.earlierTenants, "early");
    await redis.zadd(keys.jobs("early"), 1, newJobId(CODE));

    await new BookingSweep(redis).run(Date.now());

    expect(await redis.exists(keys.jobs("early"))).toBe(0);
    expect(await redis.zrange(keys.booked, "0", "-1")).toEqual(["early"]);
    expect(await redis.exists(keys.earlierTenants)).toBe(0);
  });
});

describe("of several ingresses", () => {
  test("one at a time looks after the tenants", async ({
    ingress,
    openIngress,
    redis,
    redisServer,
  }) => {
    const other = await openIngress({ redisUrl: redisServer.url });
    await ingress.sweepNow();
    await enterTenant(redis, "a");
    await redis.zadd(keys.jobs("a"), 1, newJobId(CODE));

    await other.sweepNow();
    const whileLeased = await redis.zcard(keys.jobs("a"));
    await redis.del(keys.tenantSweep);
    await other.sweepNow();

    expect(whileLeased).toBe(1);
    expect(await redis.zcard(keys.jobs("a"))).toBe(0);
  });
});

describe("keys with limits", () => {
  test("are forgotten once they have no open jobs, and their tenants leave", async ({ redis }) => {
    const holding = newJobId(CODE);
    await redis.zadd(keys.booked, 1, "a");
    await redis.sadd(keys.holders("a"), "idle", "owing", "holding");
    await redis.hset(keys.owed("a"), { idle: "0", owing: "5", holding: "10" });
    await redis.zadd(keys.held("a", "holding", "later"), Date.now(), `${holding} 10 model`);
    const sweep = new BookingSweep(redis);

    await sweep.run(Date.now());
    const first = await redis.smembers(keys.holders("a"));
    await redis.zadd(keys.held("a", "holding", "later"), 1, `${holding} 10 model`);
    await sweep.run(Date.now());
    await sweep.run(Date.now());
    await sweep.run(Date.now());

    expect(first).toEqual(["holding"]);
    expect(await redis.exists(keys.holders("a"))).toBe(0);
    expect(await redis.hgetall(keys.owed("a"))).toEqual({ owing: "5" });
    expect(await redis.exists(keys.booked)).toBe(0);
  });
});
