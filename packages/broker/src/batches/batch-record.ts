import {
  batchCountsSchema,
  batchEndpointSchema,
  batchErrorSchema,
  batchIdSchema,
  batchProgressSchema,
  batchStatusSchema,
  batchUsageSchema,
  fileIdSchema,
  keyLimitsSchema,
  PlatformError,
  type BatchId,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { readRedisMs } from "../clock.ts";
import { keys } from "../keys.ts";

const batchSpecSchema = z.object({
  /** Id of the API key that it came with: what its lines are counted under. */
  key: z.string(),
  /** The tenant's weight in fair shares when it came. */
  weight: z.number(),
  /** The key's limits when it came; null = none. */
  limits: keyLimitsSchema.strip().nullable(),
  endpoint: batchEndpointSchema,
  /** As asked for, in the API's words; `expiresAtMs` says what it comes to. */
  completionWindow: z.string(),
  metadata: z.record(z.string(), z.string()).nullable(),
  /** How long its files are kept, where its maker says. */
  outputLifetimeMs: z.number().nullable(),
});
/** What never changes about a batch. */
export type BatchSpec = z.infer<typeof batchSpecSchema>;

/** Text that may be missing, parsed when it is there. */
const json = <Kept extends z.ZodType>(schema: Kept) =>
  z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(schema)
    .nullish()
    .transform((value) => value ?? null);
const instant = z.coerce
  .number()
  .nullish()
  .transform((ms) => ms ?? null);
const name = z
  .string()
  .nullish()
  .transform((text) => text ?? null);

const fieldsSchema = z.object({
  tenant: z.string(),
  spec: z
    .string()
    .transform((text): unknown => JSON.parse(text))
    .pipe(batchSpecSchema),
  file: fileIdSchema,
  status: batchStatusSchema,
  created_at: z.coerce.number(),
  expires_at: z.coerce.number(),
  in_progress_at: instant,
  finalizing_at: instant,
  completed_at: instant,
  failed_at: instant,
  expired_at: instant,
  cancelling_at: instant,
  cancelled_at: instant,
  model: name,
  counts: json(batchCountsSchema),
  usage: json(batchUsageSchema),
  errors: json(batchErrorSchema.array()),
  progress: json(batchProgressSchema),
  output_file: fileIdSchema.nullish().transform((file) => file ?? null),
  error_file: fileIdSchema.nullish().transform((file) => file ?? null),
});

/** A batch as it stands. Instants are ms of Redis' clock. */
export interface BatchRecord extends BatchSpec {
  readonly id: BatchId;
  readonly tenant: string;
  readonly inputFile: z.infer<typeof fieldsSchema>["file"];
  readonly status: z.infer<typeof batchStatusSchema>;
  readonly createdAtMs: number;
  /** The end of its window. */
  readonly expiresAtMs: number;
  /** When it took each of the statuses that it has had. */
  readonly at: Pick<
    z.infer<typeof fieldsSchema>,
    | "in_progress_at"
    | "finalizing_at"
    | "completed_at"
    | "failed_at"
    | "expired_at"
    | "cancelling_at"
    | "cancelled_at"
  >;
  readonly model: string | null;
  readonly counts: z.infer<typeof batchCountsSchema> | null; // null until its file has been read
  readonly usage: z.infer<typeof batchUsageSchema> | null;
  readonly errors: z.infer<typeof batchErrorSchema>[] | null;
  readonly progress: z.infer<typeof batchProgressSchema> | null;
  readonly outputFile: z.infer<typeof fieldsSchema>["output_file"];
  readonly errorFile: z.infer<typeof fieldsSchema>["error_file"];
  /** Whether a batcher has it; of one that has ended, false. */
  readonly isHeld: boolean;
}

/** The begin of the keys of all objects that are a batch's own. Ends in `/`. */
export function objectsOfBatch(batch: BatchId): string {
  return `batches/${batch}/`;
}

const FIELDS = fieldsSchema.keyof().options;

/** Read batches. @returns null for each that there is not */
export async function findBatches(
  redis: Redis,
  ids: readonly BatchId[],
): Promise<(BatchRecord | null)[]> {
  const [nowMs, records, leases] = await Promise.all([
    readRedisMs(redis),
    Promise.all(ids.map((id) => redis.hmget(keys.batch(id), ...FIELDS))),
    ids.length === 0 ? [] : redis.zmscore(keys.openBatches, ...ids),
  ]);
  return ids.map((id, i) => {
    const leaseEnd = leases[i] ?? null;
    return toRecord(id, records[i] ?? [], leaseEnd !== null && Number(leaseEnd) > nowMs);
  });
}

/** What is said of a batch that does not exist, and alike of another tenant's. */
export function unknownBatch(id: string, param?: string): PlatformError {
  const options = param === undefined ? {} : { param };
  return new PlatformError("batch_not_found", `there is no batch ${id}`, options);
}

function toRecord(
  id: BatchId,
  values: readonly (string | null)[],
  isHeld: boolean,
): BatchRecord | null {
  if (!values[0]) return null;
  const fields = fieldsSchema.parse(
    Object.fromEntries(FIELDS.map((field, i) => [field, values[i]])),
  );
  return {
    ...fields.spec,
    id: batchIdSchema.parse(id),
    tenant: fields.tenant,
    inputFile: fields.file,
    status: fields.status,
    createdAtMs: fields.created_at,
    expiresAtMs: fields.expires_at,
    at: fields,
    model: fields.model,
    counts: fields.counts,
    usage: fields.usage,
    errors: fields.errors,
    progress: fields.progress,
    outputFile: fields.output_file,
    errorFile: fields.error_file,
    isHeld,
  };
}
