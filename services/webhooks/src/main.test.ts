import { fileURLToPath } from "node:url";

import { EndpointRegistry, WebhookDesk, type DeliveryLog } from "@headrace/broker";
import { webhookEventSchema } from "@headrace/contract";
import { findFreePort } from "@headrace/testkit";
import { ManagedProcess } from "@headrace/testkit/instruments";
import { expect } from "vitest";

import { answer, hang } from "./testing/receiver.ts";
import { jobEnded, TENANT, webhooksTest } from "./testing/webhooks-test.ts";

/** As many as a receiver that has answered nothing yet is sent at once. */
const UNDER_WAY = 4;
const PROGRAM = fileURLToPath(new URL("main.ts", import.meta.url));

/** The real process, on the real clock. */
const test = webhooksTest.extend("startProcess", async ({ redisServer, redis }, { onCleanup }) => {
  await redis.ping();
  const processes: ManagedProcess[] = [];
  onCleanup(async () => {
    await Promise.all(processes.map((one) => one.stop()));
  });
  return async (environment: Record<string, string> = {}): Promise<ManagedProcess> => {
    const port = await findFreePort();
    const started = new ManagedProcess({
      name: "webhooks",
      url: `http://127.0.0.1:${port}`,
      args: [PROGRAM],
      environment: {
        REDIS_URL: redisServer.url,
        WEBHOOKS_OPERATIONS_PORT: String(port),
        WEBHOOKS_ALLOW: "127.0.0.1",
        ...environment,
      },
    });
    processes.push(started);
    return started;
  };
});

test("delivers, counts what it did, and uses no proxy of its environment", async ({
  redis,
  clock,
  startReceiver,
  startProcess,
}) => {
  const [receiver, proxy] = [await startReceiver(), await startReceiver()];
  const address = `http://127.0.0.1:${proxy.port}`;
  const process = await startProcess({
    NODE_USE_ENV_PROXY: "1",
    HTTP_PROXY: address,
    http_proxy: address,
    HTTPS_PROXY: address,
    ALL_PROXY: address,
  });
  const registry = new EndpointRegistry(redis, Date.now);
  await registry.create(TENANT, { url: receiver.url, event_types: ["job.*"] });
  await process.whenReady("/readyz");

  await new WebhookDesk(redis, registry).enqueue([jobEnded(clock)]);
  await receiver.whenReceived(1);
  const code = await process.stop();

  expect(proxy.connections).toBe(0);
  expect(code).toBe(0);
  expect(process.lines.join("\n")).not.toContain("whsec_");
}, 30_000);

test("is told to stop: what is being sent ends, or is another's at once", async ({
  redis,
  clock,
  startReceiver,
  startProcess,
}) => {
  const receiver = await startReceiver();
  const registry = new EndpointRegistry(redis, Date.now);
  await registry.create(TENANT, { url: receiver.url, event_types: ["job.*"] });
  receiver.behave = hang;
  const [first, second] = [await startProcess(), await startProcess()];
  await first.whenReady("/readyz");
  second.pause();
  await new WebhookDesk(redis, registry).enqueue([jobEnded(clock)]);
  await receiver.whenReceived(1);

  const code = await first.stop();
  receiver.behave = answer(204);
  second.resume();
  await receiver.whenReceived(2);

  expect(code).toBe(0);
  expect(receiver.ids).toHaveLength(1);
}, 30_000);

test("delivers every event under one id though Redis is killed, and forgets what is under way", async ({
  redis,
  redisServer,
  clock,
  log,
  startReceiver,
  startProcess,
}) => {
  redis.on("error", () => {});
  const receiver = await startReceiver();
  const registry = new EndpointRegistry(redis, Date.now);
  const { id } = await registry.create(TENANT, { url: receiver.url, event_types: ["job.*"] });
  const desk = new WebhookDesk(redis, registry);
  const occurrences = Array.from({ length: 40 }, () => jobEnded(clock));
  const held: (() => void)[] = [];
  receiver.behave = (response, received) => void held.push(() => answer(204)(response, received));

  // So that what was acknowledged is before the mark.
  await redis.config("SET", "appendfsync", "always");
  await desk.enqueue(occurrences);
  const mark = await redisServer.mark();
  await (await startProcess()).whenReady("/readyz");
  await receiver.whenReceived(UNDER_WAY);
  // It comes back without knowing that anything is under way.
  await redisServer.loseSince(mark);
  receiver.behave = answer(204);
  for (const release of held) release();

  await expect
    .poll(async () => countDelivered(log, id), { timeout: 60_000, interval: 500 })
    .toBe(occurrences.length);
  const idsBySubject = new Map<string, Set<string>>();
  for (const { body, headers } of receiver.received) {
    const { data } = webhookEventSchema.parse(JSON.parse(body));
    const ids = idsBySubject.get(data.id) ?? new Set();
    idsBySubject.set(data.id, ids.add(headers["webhook-id"] ?? ""));
  }
  expect([...idsBySubject.keys()].toSorted()).toEqual(
    occurrences.map(({ subject }) => subject).toSorted(),
  );
  expect([...idsBySubject.values()].map(({ size }) => size)).toEqual(occurrences.map(() => 1));
  expect(receiver.received.length).toBeGreaterThan(occurrences.length);
}, 90_000);

test("says what is wrong with its list of receivers", async ({ startProcess }) => {
  const process = await startProcess({ WEBHOOKS_ALLOW: "10.0.0.0/8, 10.0.0.0/99" });

  await expect(process.whenReady("/readyz")).rejects.toThrow(
    "WEBHOOKS_ALLOW: 10.0.0.0/99: no such network",
  );
}, 30_000);

async function countDelivered(log: DeliveryLog, endpoint: string): Promise<number> {
  const query = { target: endpoint, status: "delivered" as const, limit: 100, after: null };
  const { deliveries } = await log.list(query);
  return deliveries.length;
}
