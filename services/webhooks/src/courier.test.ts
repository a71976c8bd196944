import { jobsTarget, type ListedDelivery } from "@headrace/broker";
import OpenAI from "openai";
import { Webhook } from "standardwebhooks";
import { describe, expect } from "vitest";

import { answer } from "./testing/receiver.ts";
import { jobEnded, secretOf, TENANT, webhooksTest as test } from "./testing/webhooks-test.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

describe("a webhook", () => {
  test("is verified by OpenAI's package and by Standard Webhooks'", async ({
    clock,
    desk,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const secret = secretOf(await listenAt(receiver));
    const occurrence = jobEnded(clock);
    await desk.enqueue([occurrence]);
    await (await openCourier()).deliverDue();

    const [received] = receiver.received;
    const { headers = {}, body = "" } = received ?? {};
    const client = new OpenAI({ apiKey: "none", webhookSecret: secret });
    const unwrapped = await client.webhooks.unwrap(body, headers);

    expect(unwrapped).toEqual({
      id: headers["webhook-id"],
      object: "event",
      type: "job.completed",
      created_at: Math.floor(clock.nowMs / 1_000),
      data: { id: occurrence.subject },
    });
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "webhook-id": expect.stringMatching(/^evt_[0-9a-f]{32}$/),
    });
    expect(new Webhook(secret).verify(body, headers)).toEqual(unwrapped);
    await expect(client.webhooks.unwrap(`${body} `, headers)).rejects.toThrow(/signature/);
  });

  test("carries two signatures while a secret is changed over, one without or after", async ({
    clock,
    desk,
    registry,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const courier = await openCourier();
    const endpoint = await listenAt(receiver);
    const { id } = endpoint;
    const rotated = await registry.rotateSecret(TENANT, id, true);
    const deliver = async (): Promise<string> => {
      await desk.enqueue([jobEnded(clock)]);
      await courier.deliverDue();
      return receiver.received.at(-1)?.headers["webhook-signature"] ?? "";
    };
    const both = await deliver();
    const { headers = {}, body = "" } = receiver.received.at(-1) ?? {};
    clock.advance(24 * HOUR_MS + 1);
    const after = await deliver();
    await registry.rotateSecret(TENANT, id, false);

    for (const secret of [secretOf(endpoint), secretOf(rotated)]) {
      expect(new Webhook(secret).verify(body, headers)).toMatchObject({ object: "event" });
    }
    expect(both.split(" ")).toHaveLength(2);
    expect(after.split(" ")).toHaveLength(1);
    expect((await deliver()).split(" ")).toHaveLength(1);
  });

  test("of a single job goes to its URL, signed with the tenant's own secret", async ({
    clock,
    desk,
    registry,
    log,
    startReceiver,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const secret = secretOf(await registry.renewDefaultSecret(TENANT, false));
    await desk.enqueue([jobEnded(clock, { webhook: `${receiver.url}?run=7` })]);

    await (await openCourier()).deliverDue();

    const [received] = receiver.received;
    const { headers = {}, body = "", path } = received ?? {};
    const { deliveries } = await log.list({ ...ALL, target: jobsTarget(TENANT) });
    expect(path).toBe("/hook?run=7");
    expect(new Webhook(secret).verify(body, headers)).toBeDefined();
    expect(deliveries.map(statusOf)).toEqual(["delivered"]);
  });

  test("is delivered once, however often its job is heard of", async ({
    clock,
    desk,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const courier = await openCourier();
    await listenAt(receiver);
    const occurrence = jobEnded(clock);

    await Promise.all([desk.enqueue([occurrence]), desk.enqueue([occurrence, occurrence])]);
    await courier.deliverDue();
    await desk.enqueue([occurrence]);
    await courier.deliverDue();

    expect(receiver.received).toHaveLength(1);
  });

  test("that was sent by a process that died is sent again, under its id", async ({
    clock,
    desk,
    startReceiver,
    listenAt,
    openBroker,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const dying = await openBroker();
    const [first, second] = [await openCourier({ broker: dying }), await openCourier()];
    await listenAt(receiver);
    await desk.enqueue([jobEnded(clock)]);
    receiver.behave = (response) => {
      dying.close();
      response.end();
    };
    await expect(first.deliverDue()).rejects.toThrow("aborted");

    receiver.behave = answer(204);
    clock.advance(19_000);
    await second.deliverDue();
    const before = receiver.received.length;
    clock.advance(2_000);
    await second.deliverDue();
    await second.deliverDue();

    expect(before).toBe(1);
    expect(receiver.received).toHaveLength(2);
    expect(receiver.ids).toHaveLength(1);
  });
});

describe("a receiver that is down for an hour", () => {
  test("gets its webhook, under one id, and delays no other by a second", async ({
    clock,
    desk,
    log,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const [down, well] = [await startReceiver(), await startReceiver()];
    const courier = await openCourier();
    const { id } = await listenAt(down);
    await listenAt(well, "other");
    await listenAt(well);
    const startedAtMs = clock.nowMs;
    down.behave = answer(500);
    await desk.enqueue([jobEnded(clock)]);

    const delaysMs: number[] = [];
    while ((await log.list({ ...ALL, target: id })).deliveries.some(isPending)) {
      if (clock.nowMs - startedAtMs >= HOUR_MS) down.behave = answer(204);
      const before = well.received.length;
      await desk.enqueue([jobEnded(clock, { tenant: "other" })]);
      const enqueuedAtMs = clock.nowMs;
      while (await courier.deliverDue()) clock.advance(1);
      if (well.received.length > before) delaysMs.push(clock.nowMs - enqueuedAtMs);
      clock.advance(MINUTE_MS / 4);
    }

    const [delivery] = (await log.list({ ...ALL, target: id })).deliveries;
    expect(clock.nowMs - startedAtMs).toBeGreaterThan(HOUR_MS);
    expect(down.ids).toHaveLength(1);
    expect(delivery).toMatchObject({ record: { status: "delivered" } });
    expect(delaysMs.length).toBeGreaterThan(100);
    expect(Math.max(...delaysMs)).toBeLessThan(1_000);
  });
});

describe("a receiver that does not take it", () => {
  test("is tried again as the ladder says, ten times in all", async ({
    clock,
    desk,
    log,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const courier = await openCourier();
    const { id } = await listenAt(receiver);
    receiver.behave = answer(400);
    await desk.enqueue([jobEnded(clock)]);

    const pauses: number[] = [];
    for (let lastAtMs = clock.nowMs; ;) {
      await courier.deliverDue();
      const [found] = (await log.list({ ...ALL, target: id })).deliveries;
      if (found?.nextTryAtMs === null || found === undefined) break;
      lastAtMs = clock.nowMs;
      clock.nowMs = Math.ceil(found.nextTryAtMs);
      pauses.push((clock.nowMs - lastAtMs) / 1_000);
    }

    const [delivery] = (await log.list({ ...ALL, target: id })).deliveries;
    const ladder = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    expect(pauses).toHaveLength(ladder.length);
    for (const [step, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(ladder[step] ?? 0);
      expect(pause).toBeLessThanOrEqual((ladder[step] ?? 0) * 1.2 + 1);
    }
    expect(receiver.received).toHaveLength(10);
    expect(receiver.ids).toHaveLength(1);
    expect(delivery?.record).toMatchObject({ status: "failed", failure: "exhausted" });
    expect(delivery?.record.tries).toHaveLength(10);
  });

  test("answers 410: its endpoint is disabled, and what waits for it ends", async ({
    clock,
    desk,
    registry,
    log,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const courier = await openCourier();
    const { id } = await listenAt(receiver);
    receiver.behave = answer(500);
    await desk.enqueue([jobEnded(clock)]);
    await courier.deliverDue();
    receiver.behave = answer(410);
    await desk.enqueue([jobEnded(clock)]);
    await courier.deliverDue();
    clock.advance(HOUR_MS);
    await courier.deliverDue();
    await desk.enqueue([jobEnded(clock)]);

    const { deliveries } = await log.list({ ...ALL, target: id });

    expect(await registry.get(TENANT, id)).toMatchObject({
      status: "disabled",
      disabledReason: "gone",
    });
    expect(deliveries.map(({ record }) => record.failure)).toEqual(["gone", "gone"]);
    expect(receiver.received).toHaveLength(2);
  });

  test("says when to come again, and is believed, for all that waits for it", async ({
    clock,
    desk,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const courier = await openCourier();
    await listenAt(receiver);
    receiver.behave = answer(429, { "retry-after": "600" });
    await desk.enqueue([jobEnded(clock)]);
    await courier.deliverDue();
    await desk.enqueue([jobEnded(clock), jobEnded(clock)]);
    clock.advance(599_000);
    await courier.deliverDue();
    const before = receiver.received.length;

    receiver.behave = answer(200);
    clock.advance(2_000);
    await courier.deliverDue();
    const probes = receiver.received.length;
    while (await courier.deliverDue());

    expect(before).toBe(1);
    expect(probes).toBe(2);
    expect(receiver.ids).toHaveLength(3);
  });

  test("redirects: nobody goes there", async ({
    clock,
    desk,
    log,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const [receiver, elsewhere] = [await startReceiver(), await startReceiver()];
    const { id } = await listenAt(receiver);
    receiver.behave = answer(307, { location: elsewhere.url });
    await desk.enqueue([jobEnded(clock)]);

    await (await openCourier()).deliverDue();

    const { deliveries } = await log.list({ ...ALL, target: id });
    expect(elsewhere.connections).toBe(0);
    expect(deliveries[0]?.record).toMatchObject({
      status: "pending",
      tries: [{ status_code: 307 }],
    });
  });

  test("is left alone after five failures, then probed, and what waited burns no try", async ({
    clock,
    desk,
    log,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const courier = await openCourier();
    const { id } = await listenAt(receiver);
    receiver.behave = answer(500);
    await desk.enqueue(Array.from({ length: 5 }, () => jobEnded(clock)));
    while (await courier.deliverDue());
    clock.advance(1);
    const late = Array.from({ length: 60 }, () => jobEnded(clock));
    await desk.enqueue(late);
    for (let second = 0; second < 3_600; second += 1) {
      clock.advance(1_000);
      await courier.deliverDue();
    }
    const during = receiver.received.length;
    const waiting = (await log.list({ ...ALL, target: id })).deliveries.map(({ record }) => record);

    receiver.behave = answer(200);
    for (let second = 0; second < 400; second += 1) {
      clock.advance(1_000);
      await courier.deliverDue();
    }

    const after = (await log.list({ ...ALL, target: id })).deliveries;
    expect(during).toBeGreaterThan(12);
    expect(during).toBeLessThan(40);
    expect(waiting.filter(({ tries }) => tries.length === 0).length).toBeGreaterThan(30);
    expect(waiting.every(({ tries }) => tries.length < 6)).toBe(true);
    expect(
      after.filter(({ record }) => record.tries.length === 1 && record.status === "delivered")
        .length,
    ).toBeGreaterThan(30);
  });

  test("has its deliveries end when its endpoint is disabled or deleted", async ({
    clock,
    desk,
    registry,
    log,
    startReceiver,
    listenAt,
    openCourier,
  }) => {
    const receiver = await startReceiver();
    const courier = await openCourier();
    const [disabled, deleted] = [await listenAt(receiver), await listenAt(receiver)];
    await desk.enqueue([jobEnded(clock)]);
    await registry.update(TENANT, disabled.id, { status: "disabled" });
    await registry.delete(TENANT, deleted.id);

    while (await courier.deliverDue());

    const failures = await Promise.all(
      [disabled, deleted].map(async ({ id }) => {
        const { deliveries } = await log.list({ ...ALL, target: id });
        return deliveries[0]?.record.failure;
      }),
    );
    expect(failures).toEqual(["endpoint_disabled", "endpoint_deleted"]);
    expect(receiver.received).toHaveLength(0);
  });
});

const ALL = { status: null, limit: 100, after: null } as const;

function isPending({ record }: ListedDelivery): boolean {
  return record.status === "pending";
}

function statusOf({ record }: ListedDelivery): string {
  return record.status;
}
