import { randomUUID } from "node:crypto";

import { redisTest } from "@headrace/testkit";
import { describe, expect } from "vitest";

import { DeliveryLog } from "./delivery-log.ts";
import { DeliveryQueue, type ClaimedDelivery, type Report } from "./delivery-queue.ts";
import { WebhookDesk, type Occurrence } from "./desk.ts";
import { EndpointRegistry } from "./endpoint-registry.ts";

const TENANT = "acme";
const URL_TEXT = "https://receiver.example/hook";
const DELIVERED: Report = {
  settlement: { state: "delivered" },
  health: "well",
  pauseMs: 0,
  made: { at: 1, status_code: 204, error: null, seconds: 0.01 },
};
const ALL = { status: null, limit: 100, after: null } as const;

const test = redisTest
  .extend("clock", async ({}) => ({ nowMs: 1_000_000_000_000 }))
  .extend("registry", async ({ redis, clock }) => new EndpointRegistry(redis, () => clock.nowMs))
  .extend(
    "desk",
    async ({ redis, registry, clock }) => new WebhookDesk(redis, registry, () => clock.nowMs),
  )
  .extend("log", async ({ redis, clock }) => new DeliveryLog(redis, () => clock.nowMs))
  .extend("queue", async ({ redis, clock }) => new DeliveryQueue(redis, () => clock.nowMs));

function occurrence(choices: Partial<Occurrence> = {}): Occurrence {
  const subject = `job_test_${randomUUID()}`;
  return { tenant: TENANT, type: "job.completed", subject, atMs: 0, webhook: null, ...choices };
}

async function deliverAll(queue: DeliveryQueue): Promise<number> {
  for (let count = 0; ;) {
    const { deliveries } = await queue.claim(100);
    if (deliveries.length === 0) return count;
    await Promise.all(deliveries.map((delivery) => queue.settle(delivery, DELIVERED)));
    count += deliveries.length;
  }
}

describe("events", () => {
  test("reach the endpoints whose filters let them through", async ({ registry, desk, queue }) => {
    const create = (...types: ("job.*" | "job.failed" | "response.*")[]): Promise<{ id: string }> =>
      registry.create(TENANT, { url: URL_TEXT, event_types: types });
    const [all, failures] = [await create("job.*", "response.*"), await create("job.failed")];
    await registry.create("other", { url: URL_TEXT, event_types: ["job.*"] });
    const disabled = await create("job.*");
    await registry.update(TENANT, disabled.id, { status: "disabled" });

    await desk.enqueue([
      occurrence(),
      occurrence({ type: "job.failed" }),
      occurrence({ type: "response.incomplete" }),
      occurrence({ type: "batch.completed" }),
    ]);

    const { deliveries } = await queue.claim(100);
    const endpoints = deliveries.map(({ endpoint }) => endpoint);
    expect(endpoints.filter((id) => id === all.id)).toHaveLength(3);
    expect(endpoints.filter((id) => id === failures.id)).toHaveLength(1);
    expect(endpoints).toHaveLength(4);
  });

  test("cost a tenant without endpoints nothing in Redis", async ({ redis, desk }) => {
    await desk.enqueue([occurrence(), occurrence()]);

    expect(await redis.dbsize()).toBe(0);
  });

  test("of one receiver are kept to ten thousand; those that are tried last fail", async ({
    registry,
    desk,
    log,
    clock,
    queue,
  }) => {
    const { id } = await registry.create(TENANT, { url: URL_TEXT, event_types: ["job.*"] });
    await desk.enqueue([occurrence()]);
    const { deliveries } = await queue.claim(1);
    const [first] = deliveries;
    const putOff: Report = {
      ...DELIVERED,
      settlement: { state: "pending", retryMs: 3_600_000 },
      health: "ill",
    };
    if (first !== undefined) await queue.settle(first, putOff);
    for (let batch = 0; batch < 100; batch += 1) {
      await desk.enqueue(Array.from({ length: 100 }, () => occurrence()));
      clock.nowMs += 1;
    }

    const { deliveries: failed } = await log.list({ ...ALL, target: id, status: "failed" });

    expect(failed.map(({ record }) => [record.id, record.failure])).toEqual([
      [first?.id, "backlog_full"],
    ]);
  }, 20_000);
});

test("receivers that have all that one tenant may have leave room for one more of its", async ({
  registry,
  desk,
  queue,
}) => {
  const form = { url: URL_TEXT, event_types: ["job.*" as const] };
  for (let count = 0; count < 5; count += 1) await registry.create(TENANT, form);
  const enqueue = (count: number): Promise<void> =>
    desk.enqueue(Array.from({ length: count }, () => occurrence()));
  await enqueue(50);
  await deliverAll(queue);
  await enqueue(50);
  const underWay = (await queue.claim(500)).deliveries.length;
  const late = await registry.create(TENANT, form);
  await enqueue(1);

  const { deliveries } = await queue.claim(500);

  expect(underWay).toBeGreaterThan(40);
  expect(deliveries.map(({ endpoint }) => endpoint)).toEqual([late.id]);
});

describe("a delivery", () => {
  test("is another process' once its lease is over, and the first may not settle it", async ({
    registry,
    desk,
    queue,
    clock,
  }) => {
    await registry.create(TENANT, { url: URL_TEXT, event_types: ["job.*"] });
    await desk.enqueue([occurrence()]);
    const [first] = (await queue.claim(10)).deliveries;
    clock.nowMs += 19_999;
    const early = (await queue.claim(10)).deliveries;
    clock.nowMs += 2;
    const [second] = (await queue.claim(10)).deliveries;

    const settled = [await settle(queue, first), await settle(queue, second)];

    expect(early).toEqual([]);
    expect(second?.body).toBe(first?.body);
    expect(settled).toEqual([false, true]);
  });

  test("that ended is kept among the last thousand of its receiver, for a week", async ({
    redis,
    registry,
    desk,
    log,
    queue,
    clock,
  }) => {
    const { id } = await registry.create(TENANT, { url: URL_TEXT, event_types: ["job.*"] });
    for (let batch = 0; batch < 11; batch += 1) {
      await desk.enqueue(Array.from({ length: 100 }, () => occurrence()));
      clock.nowMs += 1;
      await deliverAll(queue);
    }
    const keys = await redis.keys("hr:{webhooks}:delivery:*");
    const ttls = await Promise.all(keys.slice(0, 10).map((key) => redis.ttl(key)));

    const { deliveries, hasMore } = await log.list({ ...ALL, target: id });

    expect(keys).toHaveLength(1_000);
    expect(ttls.every((seconds) => seconds > 6 * 86_400 && seconds <= 7 * 86_400)).toBe(true);
    expect(deliveries).toHaveLength(100);
    expect(hasMore).toBe(true);
  }, 20_000);

  test("leaves nothing behind but its record and its receiver's state", async ({
    redis,
    registry,
    desk,
    queue,
  }) => {
    await registry.create(TENANT, { url: URL_TEXT, event_types: ["job.*"] });
    await desk.enqueue([occurrence()]);
    await deliverAll(queue);

    const names = await redis.keys("hr:{webhooks}:*");
    const ttls = await Promise.all(names.map((name) => redis.ttl(name)));

    const kinds = new Set(names.map((name) => name.split(":")[2]));
    expect(kinds).toEqual(new Set(["delivery", "ended", "lane", "log", "tenant"]));
    expect(ttls.every((seconds) => seconds > 0)).toBe(true);
  });

  test("is listed page by page, newest first, until the log says that it has no more", async ({
    registry,
    desk,
    log,
    clock,
  }) => {
    const { id } = await registry.create(TENANT, { url: URL_TEXT, event_types: ["job.*"] });
    const subjects: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      const one = occurrence();
      subjects.unshift(one.subject);
      await desk.enqueue([one]);
      clock.nowMs += 1;
    }

    const seen: string[] = [];
    let after: string | null = null;
    let hasMore = true;
    while (hasMore) {
      const page = await log.list({ target: id, status: null, limit: 2, after });
      seen.push(...page.deliveries.map(({ record }) => record.event.data.id));
      after = page.deliveries.at(-1)?.record.id ?? null;
      hasMore = page.hasMore;
    }

    expect(seen).toEqual(subjects);
    await expect(log.list({ ...ALL, target: id, after: "whd_none" })).rejects.toMatchObject({
      code: "webhook_delivery_not_found",
    });
  });
});

describe("endpoints", () => {
  test("are twenty at most, and another tenant's are unknown", async ({ registry }) => {
    const form = { url: URL_TEXT, event_types: ["job.*" as const] };
    const [first] = await Promise.all(
      Array.from({ length: 20 }, () => registry.create(TENANT, form)),
    );

    await expect(registry.create(TENANT, form)).rejects.toMatchObject({
      code: "webhook_endpoint_limit",
    });
    await expect(registry.get("other", first?.id ?? "")).rejects.toMatchObject({
      code: "webhook_endpoint_not_found",
    });
    await expect(registry.delete("other", first?.id ?? "")).rejects.toMatchObject({
      code: "webhook_endpoint_not_found",
    });
  });

  test("lose no change of two that come at once", async ({ registry }) => {
    const { id } = await registry.create(TENANT, { url: URL_TEXT, event_types: ["job.*"] });

    await Promise.all([
      registry.update(TENANT, id, { name: "Ours" }),
      registry.update(TENANT, id, { event_types: ["job.failed"] }),
      registry.rotateSecret(TENANT, id, true),
    ]);

    const { name, filters, secrets } = await registry.get(TENANT, id);
    expect({ name, filters }).toEqual({ name: "Ours", filters: ["job.failed"] });
    expect(secrets).toHaveLength(2);
  });

  test("that moved are not disabled by what their old receiver answered", async ({ registry }) => {
    const { id } = await registry.create(TENANT, { url: URL_TEXT, event_types: ["job.*"] });
    await registry.update(TENANT, id, { url: "https://elsewhere.example/" });

    await registry.disableGone(TENANT, id, URL_TEXT);
    await registry.disableGone(TENANT, "whe_none", URL_TEXT);

    expect(await registry.get(TENANT, id)).toMatchObject({ status: "enabled" });
  });
});

async function settle(
  queue: DeliveryQueue,
  delivery: ClaimedDelivery | undefined,
): Promise<boolean | undefined> {
  return delivery === undefined ? undefined : queue.settle(delivery, DELIVERED);
}
