import { setTimeout as delay } from "node:timers/promises";

import { newApiKey, newKeyId } from "@headrace/contract";
import { FaultProxy, Random } from "@headrace/testkit/instruments";
import type { Redis } from "ioredis";
import { describe, expect, onTestFinished, vi } from "vitest";

import { digestApiKey } from "./api-key-record.ts";
import type { FreshKey, KeyForm } from "./api-key-desk.ts";
import { IngressBroker } from "./ingress-broker.ts";
import { brokerTest as test } from "./test-bench.ts";

const note = { actor: "root", action: "key.create", requestId: "req_test" };
/** Every ingress must know of a change by then. */
const KNOWN_MS = 1_000;

const form = (fields: Partial<KeyForm> = {}): KeyForm => ({
  name: "a test",
  tenant: "acme",
  scopes: ["submit"],
  limits: null,
  expiresAt: null,
  idempotencyKey: null,
  ...fields,
});

const verify = (broker: IngressBroker, { record, key }: FreshKey): Promise<unknown> =>
  broker.knownKeys.verify(record.id, digestApiKey(key));

/** How often Redis was asked for keys. */
async function countLookUps(redis: Redis): Promise<number> {
  const stats = await redis.info("commandstats");
  return Number(/cmdstat_hmget:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

describe("a key that nobody has seen", () => {
  test("is looked up once, whether there is one or not", async ({ ingress, redis }) => {
    const made = await ingress.apiKeys.create(note, form());
    const none = digestApiKey("none");
    await verify(ingress, made);
    await ingress.knownKeys.verify("00000000", none);
    const before = await countLookUps(redis);

    await Promise.all(
      Array.from({ length: 50 }, async () => [
        await verify(ingress, made),
        await ingress.knownKeys.verify("00000000", none),
      ]),
    );

    expect(await countLookUps(redis)).toBe(before);
  });

  test("costs Redis a hundred looks a second at the most, however many are made up", async ({
    ingress,
    redis,
  }) => {
    const before = await countLookUps(redis);
    const beganAt = performance.now();
    let failed = 0;
    for (let round = 0; round < 20; round += 1) {
      const answers = await Promise.allSettled(
        Array.from({ length: 250 }, async () =>
          ingress.knownKeys.verify(newKeyId(), digestApiKey("none")),
        ),
      );
      failed += answers.filter(({ status }) => status === "rejected").length;
    }
    const tookMs = performance.now() - beganAt;

    const looks = (await countLookUps(redis)) - before;
    expect(failed).toBe(0);
    // And a few that are not about keys, but about the weights of tenants.
    expect(looks).toBeLessThanOrEqual(tookMs / 10 + 4);
    expect(looks).toBeLessThan(5_000 / 20);
  });

  test("costs no more where the id is right, and the secret made up", async ({
    ingress,
    redis,
  }) => {
    const made = await ingress.apiKeys.create(note, form());
    await verify(ingress, made);
    const before = await countLookUps(redis);
    const beganAt = performance.now();

    const answers = [];
    for (let round = 0; round < 20; round += 1) {
      const guesses = Array.from({ length: 50 }, () => digestApiKey(newApiKey(made.record.id)));
      answers.push(
        ...(await Promise.all(
          guesses.map(async (guess) => ingress.knownKeys.verify(made.record.id, guess)),
        )),
      );
    }

    const looks = (await countLookUps(redis)) - before;
    expect(answers.filter((grant) => grant !== null)).toEqual([]);
    expect(looks).toBeLessThanOrEqual((performance.now() - beganAt) / 10 + 4);
    expect(await verify(ingress, made)).not.toBeNull();
  });

  test("is found in the middle of such a flood", async ({ ingress }) => {
    const made = await ingress.apiKeys.create(note, form());
    const flood = Array.from({ length: 1_900 }, async () =>
      ingress.knownKeys.verify(newKeyId(), digestApiKey("none")),
    );

    const grant = await verify(ingress, made);

    expect(grant).toMatchObject({ id: made.record.id, tenant: "acme" });
    await Promise.all(flood);
  });

  test("is told to come again where too many wait", async ({ ingress }) => {
    const answers = await Promise.allSettled(
      Array.from({ length: 2_100 }, async () =>
        ingress.knownKeys.verify(newKeyId(), digestApiKey("none")),
      ),
    );

    const refused = answers.filter((answer) => answer.status === "rejected");
    expect(refused).toHaveLength(100);
    expect(refused[0]?.reason).toMatchObject({ code: "queue_unavailable" });
  });
});

describe("what an ingress knows of keys", () => {
  test("is up to date in a second, also of what it was reading just then", async ({
    ingress,
    redis,
    redisServer,
  }) => {
    const proxy = await FaultProxy.start(redisServer.port);
    const far = new IngressBroker({
      redisUrl: `redis://127.0.0.1:${proxy.port}`,
      durability: "redis",
      report: () => {},
    });
    await far.assertReady(2_000);
    proxy.latencyMs = 15;
    const random = new Random(4);
    // A tenant of its own each: to read a key takes another round trip then, and more can come between.
    const made = await Promise.all(
      Array.from({ length: 150 }, async (_none, at) =>
        ingress.apiKeys.create(note, form({ tenant: `tenant-${at}` })),
      ),
    );

    const seen = await Promise.all(
      made.map(async (each) => {
        await delay(random.between(0, 700));
        const first = verify(far, each);
        await delay(random.between(0, 60));
        await ingress.apiKeys.revoke(note, each.record.id);
        return first;
      }),
    );
    await delay(KNOWN_MS);
    const after = await Promise.all(made.map(async (each) => verify(far, each)));
    await far.close();
    await proxy.close();

    expect(seen.filter((grant) => grant !== null).length).toBeGreaterThan(20);
    expect(after.filter((grant) => grant !== null)).toEqual([]);
    expect(await redis.hlen("hr:{keys}:by-id")).toBe(150);
  });

  test("does not suffer from an entry that it cannot read", async ({ ingress, redis, reports }) => {
    const made = await ingress.apiKeys.create(note, form());
    await redis.hset("hr:{keys}:by-id", "11111111", '{"written":"by a later version"}');

    const [unreadable, readable] = await Promise.all([
      ingress.knownKeys.verify("11111111", digestApiKey("none")),
      verify(ingress, made),
    ]);

    expect(unreadable).toBeNull();
    expect(readable).toMatchObject({ id: made.record.id });
    expect(reports.map(({ message }) => message)).toContain(
      "an API key that cannot be read is refused",
    );
  });

  test("leaves out what only a later version knows of a key", async ({ ingress, redis }) => {
    const made = await ingress.apiKeys.create(note, form({ limits: { queued_jobs: 3 } }));
    const text = (await redis.hget("hr:{keys}:by-id", made.record.id)) ?? "";
    const later = text
      .replace('"scopes":[', '"scopes":["later",')
      .replace('"limits":{', '"limits":{"later_limit":1,');
    await redis.hset("hr:{keys}:by-id", made.record.id, later);

    await expect(verify(ingress, made)).resolves.toMatchObject({
      scopes: new Set(["submit"]),
      limits: { queued_jobs: 3 },
    });
  });

  test("follows a tenant's weight", async ({ ingress }) => {
    const made = await ingress.apiKeys.create(note, form());
    await verify(ingress, made);
    const before = ingress.knownKeys.weightOf("acme");

    await ingress.tenants.set(note, "acme", { weight: 4 });
    await ingress.tenants.set(note, "default", { weight: 2 });

    expect(before).toBe(1);
    await expect
      .poll(() => ["acme", "default"].map((tenant) => ingress.knownKeys.weightOf(tenant)), {
        timeout: KNOWN_MS,
      })
      .toEqual([4, 2]);
  });
});

describe("the registry", () => {
  test("is changed also while Redis is full", async ({ ingress, redis }) => {
    const made = await ingress.apiKeys.create(note, form());
    await redis.config("SET", "maxmemory", "1");

    const revoked = await ingress.apiKeys.revoke(note, made.record.id);
    await redis.config("SET", "maxmemory", "0");

    expect(revoked.status).toBe("revoked");
  });

  test("takes no more keys than it may hold, and lets go of deleted ones", async ({
    ingress,
    redis,
  }) => {
    const made = await ingress.apiKeys.create(note, form());
    const others = Array.from({ length: 9_999 }, (_none, at) => [`other-${at}`, "{}"]);
    await redis.hset("hr:{keys}:by-id", ...others.flat());

    await expect(ingress.apiKeys.create(note, form())).rejects.toMatchObject({
      code: "registry_full",
    });
    await ingress.apiKeys.update(note, made.record.id, { name: "changed all the same" });
    await ingress.apiKeys.delete(note, made.record.id);
    await expect(ingress.apiKeys.create(note, form())).resolves.toMatchObject({
      record: { name: "a test" },
    });
    expect(await redis.zcard("hr:{keys}:by-age")).toBe(1);
  });

  test("keeps ten thousand entries of the audit log, refused ones apart", async ({
    ingress,
    redis,
  }) => {
    const stream = "hr:{keys}:audit-refused";
    const pipeline = redis.pipeline();
    for (let count = 0; count < 10_200; count += 1) pipeline.xadd(stream, "*", "entry", "{}");
    await pipeline.exec();
    await ingress.apiKeys.create(note, form());

    const subject = { target: null, tenant: null, details: {} };
    await ingress.audit.keepRefused(note, subject, "scope_missing");

    expect(await redis.xlen(stream)).toBeLessThanOrEqual(10_100);
    expect(await redis.xlen("hr:{keys}:audit")).toBe(1);
  });

  test("keeps what one key reads, or is denied, once an hour, and how often in between", async ({
    ingress,
  }) => {
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    const subject = { target: null, tenant: null, details: {} };
    const tryBoth = async (): Promise<void> => {
      await ingress.audit.keepRead(note, subject, null);
      await ingress.audit.keepRefused(note, subject, "scope_missing");
    };
    for (let count = 0; count < 3; count += 1) await tryBoth();
    vi.advanceTimersByTime(3_600_000);
    await tryBoth();

    const { data } = await ingress.audit.list({ limit: 10, after: null });

    expect(data.toReversed()).toMatchObject([
      { outcome: "done", details: {} },
      { outcome: "denied", details: {} },
      { outcome: "done", details: { left_out: 2 } },
      { outcome: "denied", details: { left_out: 2 } },
    ]);
  });

  test("makes a change once, whoever sends the same bytes again", async ({
    ingress,
    redis,
    redisServer,
  }) => {
    const proxy = await FaultProxy.start(redisServer.port);
    const broker = new IngressBroker({
      redisUrl: `redis://127.0.0.1:${proxy.port}`,
      durability: "redis",
      report: () => {},
    });
    await broker.assertReady(2_000);
    const made = await broker.apiKeys.create(note, form());
    proxy.dropReplies(1, "evalsha");

    const rotated = await broker.apiKeys.rotate(note, made.record.id, 60_000);
    const dropped = proxy.dropped;
    await broker.close();
    await proxy.close();

    expect(dropped).toBe(1);
    expect(await verify(ingress, rotated)).not.toBeNull();
    expect(await verify(ingress, made)).not.toBeNull();
    expect(await redis.xlen("hr:{keys}:audit")).toBe(2);
  });

  test("does not bring back a key that is deleted while its use is noted", async ({
    ingress,
    redis,
    redisServer,
  }) => {
    const other = new IngressBroker({
      redisUrl: redisServer.url,
      durability: "redis",
      report: () => {},
    });
    await other.assertReady(2_000);
    const [kept, deleted] = [
      await ingress.apiKeys.create(note, form()),
      await ingress.apiKeys.create(note, form()),
    ];
    await verify(other, kept);
    await verify(other, deleted);
    await ingress.apiKeys.delete(note, deleted.record.id);

    await other.close();

    expect(Object.keys(await redis.hgetall("hr:{keys}:used"))).toEqual([kept.record.id]);
  });
});

test("a key has 240 random bits, and no two are alike", () => {
  const made = Array.from({ length: 1_000 }, () => newApiKey(newKeyId()));

  expect(new Set(made.map((key) => key.split("_")[2])).size).toBe(1_000);
  expect(made.every((key) => /^hr_[0-9a-z]{8}_[0-9a-z]{48}$/.test(key))).toBe(true);
});
