import { batchIdSchema, type BatchId, type ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "../keys.ts";

const demandSchema = z.object({
  left: z.int().min(0),
  underWay: z.int().min(0),
  lineMs: z.number().positive(),
  endsAtMs: z.number(),
});

/** What a running batch asks of its model. */
export interface BatchDemand extends z.infer<typeof demandSchema> {
  /** Lines without a result. */
  readonly left: number;
  /** Of those, how many are jobs now. */
  readonly underWay: number;
  /** How long one line takes an engine that has others beside it, ms. */
  readonly lineMs: number;
  /** The end of its window, ms of Redis' clock. */
  readonly endsAtMs: number;
}

/** Say what a batch asks of its model. It stands until it is said anew, or the batch has ended. */
export async function writeBatchDemand(
  redis: Redis,
  { code, batch }: { readonly code: ModelCode; readonly batch: BatchId },
  demand: BatchDemand,
): Promise<void> {
  await redis.hset(keys.batchDemand(code), batch, JSON.stringify(demand));
}

/** Say that a batch has ended. */
export async function forgetBatchDemand(
  redis: Redis,
  { code, batch }: { readonly code: ModelCode; readonly batch: BatchId },
): Promise<void> {
  await redis.hdel(keys.batchDemand(code), batch);
}

/** What the batches of a model ask of it whose windows are open; others are forgotten. */
export async function readBatchDemand(
  redis: Redis,
  code: ModelCode,
  nowMs: number,
): Promise<BatchDemand[]> {
  const fields = Object.entries(await redis.hgetall(keys.batchDemand(code)));
  const found = fields.map(([batch, text]) => ({
    batch: batchIdSchema.parse(batch),
    demand: demandSchema.parse(JSON.parse(text)),
  }));
  const over = found.filter(({ demand }) => demand.endsAtMs <= nowMs);
  if (over.length > 0) {
    await redis.hdel(keys.batchDemand(code), ...over.map(({ batch }) => batch));
  }
  return found.flatMap(({ demand }) => (demand.endsAtMs > nowMs ? [demand] : []));
}
