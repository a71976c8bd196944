import { PlatformError, type WebhookDeliveryStatus } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "../keys.ts";
import { script } from "../script.ts";
import { DELIVERY_FIELDS, parseDelivery, type DeliveryRecord } from "./delivery-record.ts";
import type { DeskClock } from "./desk.ts";

const replay = script("webhook-replay", z.literal([0, 1]));

/** Deliveries read in one go while looking for those of a status. */
const PAGE = 100;

/** Which deliveries to list. */
export interface DeliveryQuery {
  /** An endpoint's id, or `jobsTarget` of the tenant. */
  readonly target: string;
  readonly status: WebhookDeliveryStatus | null;
  readonly limit: number;
  /** The last delivery of the page before; null for the first page. */
  readonly after: string | null;
}

/** A delivery, and when it is tried next. */
export interface ListedDelivery {
  readonly record: DeliveryRecord;
  /** Ms; null once it has ended, and while it is under way. */
  readonly nextTryAtMs: number | null;
}

/** What became of a receiver's deliveries: all that wait, the last 1,000 that ended within 7 days. */
export class DeliveryLog {
  readonly #redis: Redis;
  readonly #clock: DeskClock;

  constructor(redis: Redis, clock: DeskClock = null) {
    this.#redis = redis;
    this.#clock = clock;
  }

  /** List deliveries, newest first. @throws PlatformError `webhook_delivery_not_found` for an unknown `after` */
  async list({ target, status, limit, after }: DeliveryQuery): Promise<{
    readonly deliveries: ListedDelivery[];
    readonly hasMore: boolean;
  }> {
    const log = keys.webhookLog(target);
    const rank = after === null ? -1 : await this.#redis.zrevrank(log, after);
    if (rank === null) throw unknownDelivery(String(after));
    const found: DeliveryRecord[] = [];
    for (let from = rank + 1; found.length <= limit; from += PAGE) {
      const ids = await this.#redis.zrevrange(log, from, from + PAGE - 1);
      const records = await this.#read(ids);
      found.push(...records.filter((record) => status === null || record.status === status));
      if (ids.length < PAGE) break;
    }
    return {
      deliveries: await Promise.all(found.slice(0, limit).map((record) => this.#locate(record))),
      hasMore: found.length > limit,
    };
  }

  /** @throws PlatformError `webhook_delivery_not_found`, the same for another tenant's */
  async get(tenant: string, id: string): Promise<ListedDelivery> {
    const [record] = await this.#read([id]);
    if (record === undefined || record.tenant !== tenant) throw unknownDelivery(id);
    return this.#locate(record);
  }

  /** Start a delivery over. @throws PlatformError `webhook_delivery_not_found`, the same for another tenant's */
  async replay(tenant: string, id: string): Promise<ListedDelivery> {
    await this.get(tenant, id);
    if (!(await this.#replay(id))) throw unknownDelivery(id);
    return this.get(tenant, id);
  }

  /** Start over what failed of a receiver's, if it happened since. @returns how many */
  async replayFailed(target: string, sinceMs: number): Promise<number> {
    let replayed = 0;
    const ids = await this.#redis.zrangebyscore(keys.webhookLog(target), sinceMs, "+inf");
    for (let from = 0; from < ids.length; from += PAGE) {
      for (const { id, status } of await this.#read(ids.slice(from, from + PAGE))) {
        if (status === "failed" && (await this.#replay(id))) replayed += 1;
      }
    }
    return replayed;
  }

  async #replay(id: string): Promise<boolean> {
    const args = [keys.webhookSlot, this.#clock?.() ?? "", id];
    return (await replay(this.#redis, [keys.webhookTenants], args)) === 1;
  }

  async #read(ids: readonly string[]): Promise<DeliveryRecord[]> {
    const records = await Promise.all(
      ids.map(async (id) => {
        const fields = await this.#redis.hmget(keys.webhookDelivery(id), ...DELIVERY_FIELDS);
        return parseDelivery(id, fields);
      }),
    );
    return records.filter((record) => record !== null);
  }

  async #locate(record: DeliveryRecord): Promise<ListedDelivery> {
    if (record.status !== "pending") return { record, nextTryAtMs: null };
    const dueAt = await this.#redis.zscore(keys.webhookDue(record.lane), record.id);
    return { record, nextTryAtMs: dueAt === null ? null : Number(dueAt) };
  }
}

function unknownDelivery(id: string): PlatformError {
  return new PlatformError(
    "webhook_delivery_not_found",
    `there is no webhook delivery ${id}; they are kept for 7 days`,
  );
}
