import type { ListedDelivery } from "@headrace/broker";
import { describe, expect } from "vitest";

import { answer } from "./testing/receiver.ts";
import { jobEnded, TENANT, webhooksTest as test } from "./testing/webhooks-test.ts";

const HOUR_MS = 3_600_000;
const ALL = { status: null, limit: 100, after: null } as const;

describe("a replay", () => {
  test("sends a delivery again under its id, whatever became of it", async ({
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
    await desk.enqueue([jobEnded(clock)]);
    await courier.deliverDue();
    const [delivered] = (await log.list({ ...ALL, target: id })).deliveries;

    await log.replay(TENANT, delivered?.record.id ?? "");
    await courier.deliverDue();

    const [again] = (await log.list({ ...ALL, target: id })).deliveries;
    expect(receiver.received).toHaveLength(2);
    expect(receiver.ids).toHaveLength(1);
    expect(again?.record).toMatchObject({ status: "delivered" });
    expect(again?.record.tries).toHaveLength(2);
  });

  test("of all that failed since an instant leaves the rest alone", async ({
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
    const endAll = async (): Promise<void> => {
      receiver.behave = answer(500);
      await desk.enqueue([jobEnded(clock)]);
      for (let hours = 0; hours < 100; hours += 1) {
        await courier.deliverDue();
        clock.advance(HOUR_MS);
      }
    };
    await endAll();
    const sinceMs = clock.nowMs;
    await endAll();
    receiver.behave = answer(200);
    await desk.enqueue([jobEnded(clock)]);
    await courier.deliverDue();
    const before = receiver.received.length;

    const replayed = await log.replayFailed(id, sinceMs);
    while (await courier.deliverDue());

    const { deliveries } = await log.list({ ...ALL, target: id });
    expect(replayed).toBe(1);
    expect(receiver.received).toHaveLength(before + 1);
    expect(deliveries.map(statusOf)).toEqual(["delivered", "delivered", "failed"]);
  });

  test("of another tenant's delivery finds none", async ({
    clock,
    desk,
    log,
    startReceiver,
    listenAt,
  }) => {
    const receiver = await startReceiver();
    const { id } = await listenAt(receiver);
    await desk.enqueue([jobEnded(clock)]);
    const [own] = (await log.list({ ...ALL, target: id })).deliveries;

    await expect(log.replay("other", own?.record.id ?? "")).rejects.toMatchObject({
      code: "webhook_delivery_not_found",
    });
  });
});

function statusOf({ record }: ListedDelivery): string {
  return record.status;
}
