import { modelCodeOf, newJobId, type Durability } from "@headrace/contract";
import { RedisServer, SlowLink } from "@headrace/testkit";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";

import { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { ReplicaConfirmation } from "./replica-confirmation.ts";
import { newKey, submission, TestWorker } from "./test-bench.ts";

const DELAY_MS = 40;
const READY_MS = 5_000;

interface Bench {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly onPrimary: Redis;
  readonly onReplica: Redis;
  readonly ingress: IngressBroker;
}

/** A Redis with a replica behind a slow link, and an ingress that promises so much. */
async function openBench(durability: Durability): Promise<Bench> {
  const primary = await RedisServer.start({ "repl-diskless-sync-delay": "0" });
  onTestFinished(() => primary.stop());
  const link = await SlowLink.open(primary.port, DELAY_MS);
  onTestFinished(() => link.close());
  const replica = await RedisServer.start({ replicaof: `127.0.0.1 ${link.port}` });
  onTestFinished(() => replica.stop());
  const [onPrimary, onReplica] = [connect(primary), connect(replica)];
  await expect
    .poll(() => onReplica.info("replication"), { timeout: 10_000 })
    .toContain("link_status:up");
  const worker = new TestWorker();
  await worker.open(primary.url, { version: "v1", report: () => {} });
  await worker.stop();
  const ingress = new IngressBroker({ redisUrl: primary.url, durability, report: () => {} });
  onTestFinished(() => ingress.close());
  await ingress.assertReady(READY_MS);
  return { primary, replica, onPrimary, onReplica, ingress };
}

function connect(server: RedisServer): Redis {
  const redis = new Redis(server.url);
  redis.on("error", () => {});
  onTestFinished(() => redis.disconnect());
  return redis;
}

async function timed<Value>(promise: Promise<Value>): Promise<readonly [Value, number]> {
  const startedAtMs = performance.now();
  return [await promise, performance.now() - startedAtMs];
}

describe("a submit", () => {
  test("is answered before a replica has the job, unless it must be replicated", async () => {
    const { ingress, onReplica } = await openBench("redis");
    const { id } = await ingress.submit(await submission(ingress));

    expect(await onReplica.exists(keys.entry(id))).toBe(0);
  });

  test("is answered once a replica has the job, where it must be replicated", async () => {
    const { ingress, onReplica } = await openBench("replicated");
    const [{ id }, tookMs] = await timed(ingress.submit(await submission(ingress)));

    expect(await onReplica.exists(keys.entry(id))).toBe(1);
    expect(tookMs).toBeGreaterThanOrEqual(2 * DELAY_MS - 2);
  });

  test("does not queue behind the waits of others", async () => {
    const { ingress, onReplica } = await openBench("replicated");
    const same = await submission(ingress);
    const submits = await Promise.all(
      Array.from({ length: 200 }, () => timed(ingress.submit(same))),
    );

    const found = await onReplica.exists(...submits.map(([{ id }]) => keys.entry(id)));
    expect(found).toBe(200);
    // Two hundred waits in turn would take sixteen seconds.
    expect(Math.max(...submits.map(([, tookMs]) => tookMs))).toBeLessThan(50 * DELAY_MS);
  });

  test("of a caller that stays waits for no replica", async () => {
    const { ingress, replica } = await openBench("replicated");
    replica.signal("SIGSTOP");
    const { attachedTo: _nobody, idempotencyKey: _none, ...call } = await submission(ingress);
    const reader = { onEntry: () => true, onVoid: () => {}, onGone: () => {} };
    const { id, follower } = await ingress.submitAndFollow(call, reader);
    replica.signal("SIGCONT");

    follower.close();
    expect((await ingress.getJob("default", id)).status).toBe("queued");
  });
});

describe("without a replica's word", () => {
  test("a submit is refused in time, and its job is cancelled", async () => {
    const { ingress, replica, onPrimary } = await openBench("replicated");
    replica.signal("SIGSTOP");
    const [refusal, tookMs] = await timed(
      ingress.submit(await submission(ingress)).catch((error: unknown) => error),
    );
    const [open = ""] = await onPrimary.keys("*:job:*");
    replica.signal("SIGCONT");

    expect(refusal).toMatchObject({ code: "queue_unavailable", status: 503 });
    expect(tookMs).toBeLessThan(2_000);
    await expect.poll(() => onPrimary.hget(open, "state")).toBe("cancelled");
  });

  test("a submit finds its job again under its key, and only then is it accepted", async () => {
    const { ingress, replica, onReplica } = await openBench("replicated");
    const keyed = await submission(ingress, { idempotencyKey: newKey() });
    replica.signal("SIGSTOP");
    await expect(ingress.submit(keyed)).rejects.toMatchObject({ code: "queue_unavailable" });
    await expect(ingress.submit(keyed)).rejects.toMatchObject({ code: "queue_unavailable" });
    await ingress.sweepNow();
    replica.signal("SIGCONT");
    const { id, isNew } = await ingress.submit(keyed);

    expect(isNew).toBe(false);
    expect(await onReplica.hget(keys.entry(id), "state")).toBe("queued");
  });

  test("the ingress is not ready", async () => {
    const { ingress, onReplica } = await openBench("replicated");
    await expect.poll(() => readiness(ingress), { timeout: 5_000 }).toBe("ready");
    await onReplica.replicaof("NO", "ONE");

    await expect
      .poll(() => readiness(ingress))
      .toBe("HEADRACE_DURABILITY is replicated, but no replica is connected to Redis");
  });

  test("the ingress is not ready while its replica is connected and frozen", async () => {
    const { ingress, replica } = await openBench("replicated");
    replica.signal("SIGSTOP");

    await expect
      .poll(() => readiness(ingress), { timeout: 10_000, interval: 200 })
      .toMatch(/^HEADRACE_DURABILITY is replicated, but no replica has answered for [45] s$/);
    const { redis } = await ingress.inspect();
    expect(redis.replicas).toEqual([{ isOnline: true, silentSeconds: expect.toBeOneOf([4, 5]) }]);
    replica.signal("SIGCONT");
    await expect.poll(() => readiness(ingress), { timeout: 5_000 }).toBe("ready");
  }, 20_000);
});

/** @returns `ready`, or why a submit could not be confirmed */
function readiness(ingress: IngressBroker): Promise<unknown> {
  return ingress.assertConfirmable().then(
    () => "ready",
    (error: Error) => error.message,
  );
}

describe("a Redis that is itself a replica", () => {
  test("is unfit, and says where to go", async () => {
    const { primary, onPrimary, ingress } = await openBench("redis");
    const other = await startServer({});
    await onPrimary.replicaof("127.0.0.1", other.port);

    await expect(ingress.assertReady(READY_MS)).rejects.toMatchObject({
      code: "queue_unavailable",
      message: "this Redis is a replica; point REDIS_URL at the primary",
    });
    const { redis } = await ingress.inspect();
    expect(redis).toMatchObject({ isReplica: true });
    await expect(
      new TestWorker().open(primary.url, { version: "v1", report: () => {} }),
    ).rejects.toThrow("this Redis is a replica");
  });
});

describe("a replica's word", () => {
  test("does not count for a job that its server does not have", async () => {
    const { ingress, primary } = await openBench("replicated");
    const { id } = await ingress.submit(await submission(ingress));
    const confirmation = new ReplicaConfirmation(primary.url, () => {});
    onTestFinished(() => confirmation.close());
    await expect
      .poll(() =>
        confirmation.confirm(id).then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);

    await expect(confirmation.confirm(newJobId(modelCodeOf(id)))).rejects.toMatchObject({
      code: "queue_unavailable",
    });
  });

  test("does not count when it comes from another server than the job went to", async () => {
    const [old, promoted] = [await openBench("redis"), await openBench("redis")];
    const link = await SlowLink.open(old.primary.port, 0);
    onTestFinished(() => link.close());
    const confirmation = new ReplicaConfirmation(`redis://127.0.0.1:${link.port}`, () => {});
    onTestFinished(() => confirmation.close());
    const { id } = await old.ingress.submit(await submission(old.ingress));
    const answer = (): Promise<string> =>
      confirmation.confirm(id).then(
        () => "confirmed",
        () => "refused",
      );
    await expect.poll(answer).toBe("confirmed");
    old.replica.signal("SIGSTOP");
    const waiting = answer();
    await expect.poll(() => old.onPrimary.info("clients")).toContain("blocked_clients:1");
    link.targetPort = promoted.primary.port;
    link.cut();

    expect(await waiting).toBe("refused");
    old.replica.signal("SIGCONT");
  });
});

describe("after a failover", () => {
  test("every replicated job is there, and of those that were not some are lost", async () => {
    const lost: Record<string, number> = {};
    for (const durability of ["redis", "replicated"] as const) {
      const { ingress, primary, onReplica } = await openBench(durability);
      const accepted: string[] = [];
      const same = await submission(ingress);
      const submitInTurn = async (): Promise<void> => {
        try {
          for (;;) accepted.push((await ingress.submit(same)).id);
        } catch {
          // The primary is gone.
        }
      };
      const submitting = Promise.all(Array.from({ length: 32 }, submitInTurn));
      await expect.poll(() => accepted.length).toBeGreaterThan(100);
      await primary.kill();
      await submitting;
      await onReplica.replicaof("NO", "ONE");
      const entries = new Set(await onReplica.keys("*:job:*"));
      lost[durability] = accepted.filter(
        (id) => !entries.values().some((entry) => entry.endsWith(id)),
      ).length;
    }

    expect(lost["redis"]).toBeGreaterThan(0);
    expect(lost["replicated"]).toBe(0);
  }, 30_000);
});

describe("a Redis that must sync always", () => {
  test("serves when it does, and when it does not say", async () => {
    const server = await startServer({ appendfsync: "always" });
    const redis = connect(server);
    await redis.acl("SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-config");
    const reports: string[] = [];
    const open = openAlways(server.url, reports);
    const denied = openAlways(server.url.replace("//", "//app:secret@"), reports);

    await expect(open.assertReady(READY_MS)).resolves.toBeUndefined();
    expect(reports).toEqual([]);
    await expect(denied.assertReady(READY_MS)).resolves.toBeUndefined();
    await expect(denied.assertReady(READY_MS)).resolves.toBeUndefined();
    expect(reports).toEqual(["Redis does not tell its appendfsync policy: see that it is always"]);
  });

  test("is unfit when it does not", async () => {
    const lazy = openAlways((await startServer({ appendfsync: "everysec" })).url);
    const fileless = openAlways((await startServer({ appendonly: "no" })).url);

    await expect(lazy.assertReady(READY_MS)).rejects.toThrow(
      "Redis has appendfsync everysec: set it to always",
    );
    await expect(fileless.assertReady(READY_MS)).rejects.toThrow(
      "has no append-only file: set appendonly to yes and appendfsync to always",
    );
  });
});

async function startServer(settings: Record<string, string>): Promise<RedisServer> {
  const server = await RedisServer.start(settings);
  onTestFinished(() => server.stop());
  return server;
}

function openAlways(redisUrl: string, reports: string[] = []): IngressBroker {
  const ingress = new IngressBroker({
    redisUrl,
    durability: "redis-always",
    report: ({ message }) => reports.push(message),
  });
  onTestFinished(() => ingress.close());
  return ingress;
}

describe("a change of keys", () => {
  const note = { actor: "root", action: "key.create", requestId: "req_test" };
  const form = {
    name: "a test",
    tenant: "acme",
    scopes: ["submit"],
    limits: null,
    expiresAt: null,
    idempotencyKey: null,
  } as const;

  test("is answered once a replica has it, where jobs must be replicated", async () => {
    const { ingress, onReplica } = await openBench("replicated");
    const { record } = await ingress.apiKeys.create(note, form);
    const made = await onReplica.hexists(keys.apiKeys, record.id);
    await ingress.apiKeys.revoke(note, record.id);
    const revoked = await onReplica.hget(keys.apiKeys, record.id);
    await ingress.tenants.set(note, "acme", { weight: 2 });
    const weight = await onReplica.hget(keys.tenantSettings, "acme");
    await ingress.apiKeys.delete(note, record.id);

    expect(made).toBe(1);
    expect(revoked).toMatch(/"revokedAtMs":\d/);
    expect(weight).toBe('{"weight":2}');
    expect(await onReplica.hexists(keys.apiKeys, record.id)).toBe(0);
  });

  test("is not said to be made when no replica confirms it in time", async () => {
    const { ingress, replica } = await openBench("replicated");
    const { record } = await ingress.apiKeys.create(note, form);
    replica.signal("SIGSTOP");
    const revoke = async (): Promise<unknown> =>
      ingress.apiKeys.revoke(note, record.id).catch((error: unknown) => error);
    const [refusal, tookMs] = await timed(revoke());
    const again = await revoke();
    replica.signal("SIGCONT");

    expect(refusal).toMatchObject({ code: "queue_unavailable", status: 503 });
    expect(tookMs).toBeLessThan(2_000);
    expect(again).toMatchObject({ code: "queue_unavailable" });
    await expect.poll(revoke, { timeout: 5_000 }).toMatchObject({ status: "revoked" });
  });
});
