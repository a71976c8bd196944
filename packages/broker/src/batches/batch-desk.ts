import { createHash } from "node:crypto";

import {
  batchIdSchema,
  batchStatusSchema,
  DEFAULT_FILE_SECONDS,
  fileIdOf,
  type BatchCounts,
  type BatchError,
  type BatchProgress,
  type BatchStatus,
  type BatchUsage,
  type FileId,
  type TerminalBatchStatus,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { guard } from "../guard.ts";
import { keys } from "../keys.ts";
import { script } from "../script.ts";
import { readSegments } from "./batch-registry.ts";
import { findBatches, objectsOfBatch, type BatchRecord } from "./batch-record.ts";
import { objectOfFile, type FileSpec } from "./file-record.ts";

const claim = script(
  "batch-claim",
  z.union([z.tuple([batchIdSchema, z.string().regex(/^\d+$/), z.literal([0, 1])]), z.tuple([])]),
);
const statusOrNone = z.union([batchStatusSchema, z.literal("")]);
const write = script("batch-write", statusOrNone);
const release = script("batch-release", z.literal([0, 1]));
const finish = script("batch-finish", z.tuple([z.literal([1, 0, -1, -2]), statusOrNone]));

/** A checkpoint is read whole with each claim, and copied by Redis with each write. */
const LARGEST_CHECKPOINT_BYTES = 256 * 1_024;
/** How long a record outlives the end of its batch: no shorter than its files can. */
const RETENTION_MS = DEFAULT_FILE_SECONDS * 1_000;
/** For how long the segments are left to readers who were given them before the end. */
const LINGER_MS = 900_000;

const ID_BYTES = 16;

/** A batch that is this batcher's until its lease is over. */
export interface BatchClaim {
  /** As it stood when it was claimed. */
  readonly batch: BatchRecord;
  /** Names this claim: greater than any before it, and whatever Redis has forgotten, never given twice. */
  readonly epoch: number;
  /** What the claim before this one wrote last; null when none did. */
  readonly checkpoint: string | null;
  /** Names of the segments written down so far, in order. */
  readonly segments: readonly string[];
  /** Whether another claim came before this one. */
  readonly isResumed: boolean;
  readonly leaseMs: number;
}

/** What may be written of a batch; what is left out stays as it is. */
export interface BatchChange {
  /** A status that only a batcher gives: `validating → in_progress → finalizing`. */
  readonly to?: "in_progress" | "finalizing";
  readonly model?: string;
  readonly counts?: BatchCounts;
  readonly usage?: BatchUsage;
  readonly progress?: BatchProgress;
  /** JSON, up to 256 kB: all that the next claim needs to go on from here. */
  readonly checkpoint?: string;
  /** Names, under `objectsOfBatch(id)`, of objects that are stored: results up to the checkpoint. */
  readonly segments?: readonly string[];
}

/** Whether a batch is still the claim's; when it is not, everything about it is to be left alone at once. */
export type BatchStanding =
  | { readonly isLost: true }
  | {
      readonly isLost: false;
      /** What it has now: `cancelling` when it is to end with what is done, whatever was asked for. */
      readonly status: BatchStatus;
    };

/** How a batch ends. */
export interface BatchEnd extends Omit<BatchChange, "to" | "checkpoint" | "segments"> {
  readonly status: TerminalBatchStatus;
  readonly errors?: readonly BatchError[];
  /** Files whose objects are stored, under `objectOfFile(outputFileId(…))`. */
  readonly files?: Partial<Record<OutputKind, { readonly id: FileId; readonly sizeBytes: number }>>;
}

/** What came of it: only `ended` is an end. */
export type BatchEnding =
  /** Also when this claim had ended it before. */
  | { readonly kind: "ended" }
  /** Its status does not let it end so: `completed` of one that is being cancelled, say. */
  | { readonly kind: "refused"; readonly status: BatchStatus }
  /** Another claim has it, or it has ended: leave it alone. */
  | { readonly kind: "lost" }
  /** A file's object may be gone: `Removals.plan` it and store it again. */
  | { readonly kind: "unstored" };

export type OutputKind = "output" | "error";

/**
 * The id of a file that a claim of a batch writes: the same for the same claim, so that trying again
 * makes no second one; another for another claim, so that one who has lost the batch and does not
 * know yet spoils no file of who has it now.
 */
export function outputFileId({ batch, epoch }: BatchClaim, kind: OutputKind): FileId {
  const digest = createHash("sha256").update(`${batch.id}\n${kind}\n${epoch}`).digest();
  return fileIdOf(digest.subarray(0, ID_BYTES));
}

/**
 * Batches as a batcher sees them. A claim is one batcher's hold on a batch: it lasts for its lease
 * from the last write on, and whatever is written under an earlier one is refused.
 *
 * Nothing here is insisted on: all calls fail with `queue_unavailable` while Redis is away, and when an
 * answer is lost, every call may be made again as it was, but for `claim`, whose batch then comes back
 * after its lease.
 */
export class BatchDesk {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Take an open batch that nobody has: of the tenant that has the fewest being run, the one whose
   * window ends first. A batch that is being cancelled, or whose window is over, is claimed like any
   * other: somebody must end it.
   *
   * @returns null when there is none
   */
  async claim(owner: string, leaseMs: number): Promise<BatchClaim | null> {
    const args = [keys.batchSlot, owner, leaseMs];
    const [id, epoch, isResumed] = await guard(claim(this.#redis, [keys.openBatches], args));
    if (id === undefined) return null;
    const [[batch], checkpoint, segments] = await guard(
      Promise.all([
        findBatches(this.#redis, [id]),
        this.#redis.hget(keys.batch(id), "checkpoint"),
        readSegments(this.#redis, id),
      ]),
    );
    if (!batch) return null;
    const number = Number(epoch);
    return { batch, epoch: number, checkpoint, segments, isResumed: isResumed === 1, leaseMs };
  }

  /** Keep a batch for another lease, and learn how it stands. */
  async renew(claimed: BatchClaim): Promise<BatchStanding> {
    return this.write(claimed, {});
  }

  /**
   * Write down how far a batch has come, in one step, and keep it for another lease.
   *
   * Where the status does not let it go on `to` what is asked for, since it is being cancelled, all
   * else is written; see the status that comes back.
   *
   * @throws RangeError for a checkpoint above 256 kB
   */
  async write(claimed: BatchClaim, change: BatchChange): Promise<BatchStanding> {
    const { batch, epoch, leaseMs } = claimed;
    const pairs = toPairs(change);
    if (change.checkpoint !== undefined) {
      assertCheckpoint(change.checkpoint);
      pairs.push(["checkpoint", change.checkpoint]);
    }
    const args = [
      keys.batchSlot,
      batch.id,
      epoch,
      leaseMs,
      change.to ?? "",
      pairs.length,
      ...pairs.flat(),
      ...(change.segments ?? []),
    ];
    const status = await guard(write(this.#redis, [keys.batch(batch.id)], args));
    return status === "" ? { isLost: true } : { isLost: false, status };
  }

  /** Give a batch back for another batcher to take at once: this one is told to stop. */
  async release({ batch, epoch }: BatchClaim): Promise<void> {
    const record = [keys.batch(batch.id), keys.openBatches];
    await guard(release(this.#redis, record, [batch.id, epoch]));
  }

  /**
   * End a batch: its last status, its files and that its tenant is to be told are written in one
   * step. `completed` from `finalizing`; `failed` and `expired` from any but `cancelling`;
   * `cancelled` from `cancelling` alone. Its own objects are to be removed 15 minutes later.
   *
   * @see EndedBatches.tell, which is to be called next
   */
  async finish(claimed: BatchClaim, end: BatchEnd): Promise<BatchEnding> {
    const { batch, epoch } = claimed;
    const pairs = toPairs(end);
    if (end.errors !== undefined) pairs.push(["errors", JSON.stringify(end.errors)]);
    const files = (["output", "error"] as const).flatMap((kind) => {
      const file = end.files?.[kind];
      return file === undefined ? [] : toFileArguments(batch, kind, file);
    });
    const args = [
      keys.batchSlot,
      batch.id,
      epoch,
      end.status,
      RETENTION_MS,
      objectsOfBatch(batch.id),
      LINGER_MS,
      batch.outputLifetimeMs ?? DEFAULT_FILE_SECONDS * 1_000,
      pairs.length,
      ...pairs.flat(),
      ...files,
    ];
    const [code, status] = await guard(finish(this.#redis, [keys.batch(batch.id)], args));
    if (code === -2) return { kind: "unstored" };
    if (code === -1 || status === "") return { kind: "lost" };
    return code === 1 ? { kind: "ended" } : { kind: "refused", status };
  }
}

function toPairs(change: Omit<BatchChange, "to" | "checkpoint" | "segments">): string[][] {
  const { model, counts, usage, progress } = change;
  const pairs = Object.entries({ counts, usage, progress })
    .filter(([, value]) => value !== undefined)
    .map(([field, value]) => [field, JSON.stringify(value)]);
  return model === undefined ? pairs : [...pairs, ["model", model]];
}

function assertCheckpoint(checkpoint: string): void {
  const sizeBytes = Buffer.byteLength(checkpoint);
  if (sizeBytes <= LARGEST_CHECKPOINT_BYTES) return;
  throw new RangeError(
    `a checkpoint of ${sizeBytes} bytes; at most ${LARGEST_CHECKPOINT_BYTES} are kept`,
  );
}

function toFileArguments(
  batch: BatchRecord,
  kind: OutputKind,
  { id, sizeBytes }: { readonly id: FileId; readonly sizeBytes: number },
): string[] {
  const filename = `${batch.id}_${kind}.jsonl`;
  const spec: FileSpec = { key: batch.key, filename, purpose: "batch_output", sizeBytes };
  return [`${kind}_file`, id, objectOfFile(id), JSON.stringify(spec)];
}
