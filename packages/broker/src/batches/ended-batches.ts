import { batchIdSchema, isTerminalBatch } from "@headrace/contract";
import type { Redis } from "ioredis";

import { guard } from "../guard.ts";
import { keys } from "../keys.ts";
import type { Occurrence, WebhookDesk } from "../webhooks/desk.ts";
import { findBatches, type BatchRecord } from "./batch-record.ts";

/** Ends told of in one go. */
const PAGE = 100;

/**
 * Has tenants told of batches that ended. That one is to be told of is written in the step that ends
 * it, and removed once the event is among those to be delivered: whatever dies in between, the next
 * call tells again, under the same id.
 */
export class EndedBatches {
  readonly #redis: Redis;
  readonly #desk: WebhookDesk;

  constructor(redis: Redis, desk: WebhookDesk) {
    this.#redis = redis;
    this.#desk = desk;
  }

  /**
   * Tell of ends that nobody has been told of yet. To be called after each end, and now and then,
   * for those whose batcher died.
   *
   * @returns how many, of 100
   * @throws PlatformError `queue_unavailable`: to be called again
   */
  async tell(): Promise<number> {
    return guard(this.#tell());
  }

  async #tell(): Promise<number> {
    const members = await this.#redis.zrange(keys.endedBatches, "0", `${PAGE - 1}`);
    if (members.length === 0) return 0;
    const batches = await findBatches(this.#redis, batchIdSchema.array().parse(members));
    await this.#desk.enqueue(batches.flatMap((batch) => (batch === null ? [] : toEnd(batch))));
    await this.#redis.zrem(keys.endedBatches, ...members);
    return members.length;
  }
}

function toEnd({ id, tenant, status, at }: BatchRecord): Occurrence[] {
  if (!isTerminalBatch(status)) return [];
  const atMs = at[`${status}_at`] ?? 0;
  return [{ tenant, type: `batch.${status}`, subject: id, atMs, webhook: null }];
}
