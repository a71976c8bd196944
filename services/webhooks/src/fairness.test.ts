import { expect } from "vitest";

import { answer, hang } from "./testing/receiver.ts";
import {
  jobEnded,
  TENANT,
  webhooksTest as test,
  type VirtualClock,
} from "./testing/webhooks-test.ts";
import type { Occurrence } from "@headrace/broker";

function jobsEnded(count: number, clock: VirtualClock, tenant = TENANT): Occurrence[] {
  return Array.from({ length: count }, () => jobEnded(clock, { tenant }));
}

test("a receiver that hangs delays the tenant's others, and other tenants, by less than a second", async ({
  clock,
  desk,
  startReceiver,
  listenAt,
  openCourier,
}) => {
  const [hanging, own, other] = [
    await startReceiver(),
    await startReceiver(),
    await startReceiver(),
  ];
  hanging.behave = hang;
  await listenAt(hanging);
  const courier = await openCourier({ clock: null, sendMs: 3_000 });
  const stop = new AbortController();
  const running = courier.run(stop.signal);
  await desk.enqueue(jobsEnded(200, clock));
  await hanging.whenReceived(4);
  await listenAt(own);
  await listenAt(other, "other");

  const delaysMs: number[] = [];
  for (let round = 1; round <= 10; round += 1) {
    const enqueuedAtMs = performance.now();
    await desk.enqueue([...jobsEnded(1, clock), ...jobsEnded(1, clock, "other")]);
    await Promise.all([own.whenReceived(round), other.whenReceived(round)]);
    const arrivals = [own, other].map(({ received }) => received.at(-1)?.atMs ?? 0);
    delaysMs.push(...arrivals.map((atMs) => atMs - enqueuedAtMs));
  }
  stop.abort();
  await running;

  expect(Math.max(...delaysMs)).toBeLessThan(1_000);
  // The race did occur: what hung at first was still hanging, or its circuit had opened.
  expect(hanging.received.length).toBeLessThan(20);
}, 20_000);

test("a flood of one tenant's does not come before what another has", async ({
  clock,
  desk,
  startReceiver,
  listenAt,
  openCourier,
}) => {
  const [flooded, single] = [await startReceiver(), await startReceiver()];
  await listenAt(flooded);
  await listenAt(single, "other");
  await desk.enqueue(jobsEnded(300, clock));
  clock.advance(5_000);
  await desk.enqueue(jobsEnded(1, clock, "other"));

  const courier = await openCourier();
  await courier.deliverDue();

  expect(single.received).toHaveLength(1);
  expect(flooded.received.length).toBeLessThan(20);
});

test("a receiver that does well is sent more at once, one that does not is sent less", async ({
  clock,
  desk,
  startReceiver,
  listenAt,
  openCourier,
}) => {
  const receiver = await startReceiver();
  await listenAt(receiver);
  const courier = await openCourier();
  await desk.enqueue(jobsEnded(300, clock));

  const batches: number[] = [];
  for (let batch = 0; batch < 6; batch += 1) {
    batches.push(await courier.deliverDue());
    clock.advance(1);
  }
  receiver.behave = answer(429);
  await courier.deliverDue();
  receiver.behave = answer(200);
  clock.advance(60_000);
  const afterwards = await courier.deliverDue();

  expect(batches[0]).toBe(4);
  expect(Math.max(...batches)).toBe(16);
  expect(afterwards).toBe(1);
});

test("a tenant all of whose receivers hang leaves room for another tenant", async ({
  clock,
  desk,
  startReceiver,
  listenAt,
  openCourier,
}) => {
  const [hanging, single] = [await startReceiver(), await startReceiver()];
  hanging.behave = hang;
  for (let count = 0; count < 20; count += 1) await listenAt(hanging);
  await listenAt(single, "other");
  await desk.enqueue(jobsEnded(10, clock));
  const courier = await openCourier({ clock: null, sendMs: 4_000, maxInFlight: 40 });
  const stop = new AbortController();
  const running = courier.run(stop.signal);
  await hanging.whenReceived(20);

  const enqueuedAtMs = performance.now();
  await desk.enqueue(jobsEnded(1, clock, "other"));
  await single.whenReceived(1);
  const delayMs = performance.now() - enqueuedAtMs;
  stop.abort();
  await running;

  expect(delayMs).toBeLessThan(1_000);
}, 20_000);

test("a tenant's receivers take turns, however much is due to one of them", async ({
  clock,
  desk,
  startReceiver,
  listenAt,
  openCourier,
}) => {
  const [flooded, late] = [await startReceiver(), await startReceiver()];
  await listenAt(flooded);
  await desk.enqueue(jobsEnded(50, clock));
  clock.advance(1_000);
  await listenAt(late);
  await desk.enqueue(jobsEnded(1, clock));

  const courier = await openCourier({ maxInFlight: 1 });
  for (let turn = 0; turn < 2; turn += 1) {
    await courier.deliverDue();
    clock.advance(1);
  }

  expect(late.received).toHaveLength(1);
});

test("tenants take turns, however many receivers one of them has", async ({
  clock,
  desk,
  startReceiver,
  listenAt,
  openCourier,
}) => {
  const [many, late] = [await startReceiver(), await startReceiver()];
  for (let count = 0; count < 5; count += 1) await listenAt(many);
  await listenAt(late, "other");
  await desk.enqueue(jobsEnded(10, clock));
  clock.advance(1_000);
  await desk.enqueue(jobsEnded(1, clock, "other"));

  const courier = await openCourier({ maxInFlight: 1 });
  for (let turn = 0; turn < 2; turn += 1) {
    await courier.deliverDue();
    clock.advance(1);
  }

  expect(late.received).toHaveLength(1);
});

test("several processes share the work, and send nothing twice", async ({
  clock,
  desk,
  startReceiver,
  listenAt,
  openCourier,
}) => {
  const receiver = await startReceiver();
  await listenAt(receiver);
  const few = { maxInFlight: 3 };
  const couriers = [await openCourier(few), await openCourier(few), await openCourier(few)];
  await desk.enqueue(jobsEnded(100, clock));

  const counts = [0, 0, 0];
  while (receiver.received.length < 100) {
    const made = await Promise.all(couriers.map((courier) => courier.deliverDue()));
    for (const [at, count] of made.entries()) counts[at] = (counts[at] ?? 0) + count;
    clock.advance(1);
  }

  expect(receiver.received).toHaveLength(100);
  expect(receiver.ids).toHaveLength(100);
  expect(counts.filter((count) => count > 0).length).toBeGreaterThan(1);
});
