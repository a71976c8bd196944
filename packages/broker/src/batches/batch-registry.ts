import {
  batchIdSchema,
  newBatchId,
  PlatformError,
  type BatchId,
  type FileId,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { guard } from "../guard.ts";
import { keys } from "../keys.ts";
import { script } from "../script.ts";
import { findBatches, unknownBatch, type BatchRecord, type BatchSpec } from "./batch-record.ts";
import { unknownFile } from "./file-record.ts";

const create = script(
  "batch-create",
  z.union([z.tuple([z.literal([1, 0]), batchIdSchema]), z.tuple([z.literal([-1, -2, -3])])]),
);
const cancel = script("batch-cancel", z.string());

/** Batches of one tenant that may be open at once. */
const MOST_OPEN = 500;
/** How long an Idempotency-Key is remembered. */
const KEY_MS = 24 * 3_600_000;
/** How soon a batch may have ended that is in the way: nobody knows, so it is a guess. */
const OPEN_RETRY_MS = 60_000;
/** Batches looked at side by side. */
const PAGE = 100;

/** A batch on its way in. */
export interface NewBatch extends BatchSpec {
  readonly tenant: string;
  readonly inputFile: FileId;
  /** Within which it is to be done. */
  readonly windowMs: number;
  /** The caller's key for this call, and a digest of what it asks for; null without one. */
  readonly idempotency: { readonly key: string; readonly digest: string } | null;
}

/** Which of a tenant's batches to list: newest first. */
export interface BatchQuery {
  readonly limit: number;
  readonly after: BatchId | null;
}

/**
 * Batches as those see them who have them made. Every call is on behalf of a tenant, and another
 * one's batches are unknown to it. All fail with `queue_unavailable` while Redis is away.
 */
export class BatchRegistry {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Take a batch in: from now on a batcher may claim it, and its input may not be deleted.
   *
   * @throws PlatformError `file_not_found` when the tenant has no such file for batches,
   *   `batch_limit_exceeded` when it has 500 open, `idempotency_key_reused`
   */
  async create(batch: NewBatch): Promise<{ readonly batch: BatchRecord; readonly isNew: boolean }> {
    const { tenant, inputFile, windowMs, idempotency, ...spec } = batch;
    const id = newBatchId();
    const once = idempotency === null ? [] : [keys.batchOnce(tenant, idempotency.key)];
    const args = [
      keys.batchSlot,
      id,
      tenant,
      JSON.stringify(spec),
      windowMs,
      inputFile,
      MOST_OPEN,
      ...(idempotency === null ? [] : [idempotency.digest, KEY_MS]),
    ];
    const [code, made] = await guard(create(this.#redis, [keys.batch(id), ...once], args));
    switch (code) {
      case 0:
      case 1:
        return { batch: await this.get(tenant, made), isNew: code === 1 };
      case -1:
        throw new PlatformError(
          "idempotency_key_reused",
          "this Idempotency-Key belongs to another request; use a new one",
        );
      case -2:
        throw unknownFile(inputFile, "input_file_id");
      case -3:
        throw new PlatformError(
          "batch_limit_exceeded",
          `${MOST_OPEN} batches have not ended yet, as many as may be open at once; wait for one, or cancel one`,
          { waitMs: OPEN_RETRY_MS },
        );
    }
  }

  /** @throws PlatformError `batch_not_found`, the same for another tenant's */
  async get(tenant: string, id: BatchId): Promise<BatchRecord> {
    const [record = null] = await guard(findBatches(this.#redis, [id]));
    if (record === null || record.tenant !== tenant) throw unknownBatch(id);
    return record;
  }

  /** A tenant's batches. @throws PlatformError `batch_not_found` for an unknown `after` */
  async list(
    tenant: string,
    query: BatchQuery,
  ): Promise<{ readonly batches: BatchRecord[]; readonly hasMore: boolean }> {
    return guard(this.#list(tenant, query));
  }

  /**
   * Have a batch end with what it has done. Cancelling one that is being cancelled, or was, changes
   * nothing.
   *
   * @throws PlatformError `batch_not_found`; `batch_not_cancellable` when it is finalizing, or has
   *   ended otherwise
   */
  async cancel(tenant: string, id: BatchId): Promise<BatchRecord> {
    const status = await guard(cancel(this.#redis, [keys.batch(id)], [tenant]));
    if (status === "") throw unknownBatch(id);
    if (status === "cancelling" || status === "cancelled") return this.get(tenant, id);
    throw new PlatformError(
      "batch_not_cancellable",
      `cannot cancel a batch with status '${status}'`,
    );
  }

  /**
   * The objects, under `objectsOfBatch(id)`, that hold what a batch has written so far, in order:
   * JSON Lines each. None once it has ended: then its files have it all.
   */
  async readSegments(id: BatchId): Promise<string[]> {
    return guard(readSegments(this.#redis, id));
  }

  async #list(
    tenant: string,
    { limit, after }: BatchQuery,
  ): Promise<{ readonly batches: BatchRecord[]; readonly hasMore: boolean }> {
    const batches: BatchRecord[] = [];
    const page = Math.min(limit + 1, PAGE);
    for (let rank = await this.#rankAfter(tenant, after); ; rank += page) {
      const ids = await this.#redis.zrevrange(keys.batches(tenant), rank, rank + page - 1);
      for (const record of await findBatches(this.#redis, batchIdSchema.array().parse(ids))) {
        if (record === null) continue;
        if (batches.length === limit) return { batches, hasMore: true };
        batches.push(record);
      }
      if (ids.length < page) return { batches, hasMore: false };
    }
  }

  async #rankAfter(tenant: string, after: BatchId | null): Promise<number> {
    if (after === null) return 0;
    const rank = await this.#redis.zrevrank(keys.batches(tenant), after);
    if (rank === null) throw unknownBatch(after, "after");
    return rank + 1;
  }
}

/** Names of a batch's segments, in the order in which they were written down. */
export async function readSegments(redis: Redis, id: BatchId): Promise<string[]> {
  return redis.zrange(keys.batchSegments(id), "0", "-1");
}
