import {
  objectOfFile,
  objectsOfBatch,
  outputFileId,
  type BatchBroker,
  type BatchEnd,
  type OutputKind,
} from "@headrace/broker";
import { isTerminalBatch, type TerminalBatchStatus } from "@headrace/contract";
import type { ObjectStore } from "@headrace/storage";

import type { HeldBatch } from "../held-batch.ts";
import type { Tally } from "./result-buffer.ts";
import { isSegmentOf } from "./result-log.ts";

/** Assembling anew after an object may have been swept: it was stored for longer than a day. */
const MOST_TRIES = 3;

/** What assembling works with. */
export interface AssemblyTools {
  readonly broker: BatchBroker;
  readonly objects: ObjectStore;
  readonly held: HeldBatch;
  /** Another batcher is to assemble it: this one stops. */
  readonly signal: AbortSignal;
}

/** How a batch ends, but for its files. */
export interface Closing extends Required<Pick<BatchEnd, "counts" | "usage" | "progress">> {
  readonly status: TerminalBatchStatus;
  readonly segments: readonly string[];
  readonly tally: Tally;
  /** Error lines of what was never taken up. */
  readonly rest: () => AsyncIterable<Uint8Array>;
  readonly restSize: number;
}

/**
 * Put a batch's segments together to its files, and end it.
 *
 * @returns the status that it has ended with: `cancelled` where that was asked for meanwhile
 * @throws PlatformError `storage_unavailable`, `storage_full`, `queue_unavailable`: to be repeated
 * @throws BatchLost
 */
export async function closeBatch(
  tools: AssemblyTools,
  closing: Closing,
): Promise<TerminalBatchStatus> {
  const { broker, held } = tools;
  let { status } = closing;
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    const files = await storeFiles(tools, closing);
    const { counts, usage, progress } = closing;
    const end = { counts, usage, progress, files };
    let ending = await broker.batches.finish(held.claim, { ...end, status });
    if (ending.kind === "refused" && ending.status === "cancelling") {
      status = "cancelled";
      ending = await broker.batches.finish(held.claim, { ...end, status });
    }
    switch (ending.kind) {
      case "ended":
        return status;
      case "unstored":
        break;
      case "refused":
        if (isTerminalBatch(ending.status)) return ending.status;
        throw new RangeError(`a batch that is ${ending.status} cannot end as ${status}`);
      case "lost":
        held.lose();
    }
  }
  throw new RangeError("the files of a batch are swept as soon as they are stored");
}

async function storeFiles(
  { broker, objects, held, signal }: AssemblyTools,
  closing: Closing,
): Promise<NonNullable<BatchEnd["files"]>> {
  const { completed, failed } = closing.tally;
  const sizes = { output: completed, error: failed + closing.restSize };
  const files: { -readonly [Kind in OutputKind]?: NonNullable<BatchEnd["files"]>[Kind] } = {};
  for (const kind of ["output", "error"] as const) {
    if (sizes[kind] === 0) continue;
    const id = outputFileId(held.claim, kind);
    const object = objectOfFile(id);
    await broker.removals.plan(object);
    const lines = readLines(objects, held, { kind, closing });
    const { sizeBytes } = await objects.put(object, lines, { signal });
    files[kind] = { id, sizeBytes };
  }
  return files;
}

async function* readLines(
  objects: ObjectStore,
  held: HeldBatch,
  { kind, closing }: { readonly kind: OutputKind; readonly closing: Closing },
): AsyncGenerator<Uint8Array, void> {
  for (const name of closing.segments) {
    if (!isSegmentOf(name, kind)) continue;
    // Another batcher's file would be of no use: it is not worth going on.
    held.assertHeld();
    const { body } = await objects.read(objectsOfBatch(held.batch.id) + name);
    yield* body;
  }
  if (kind === "error") yield* closing.rest();
}
