import { createHash } from "node:crypto";

import { jobIdOf, type BatchId, type JobId, type ModelCode } from "@headrace/contract";

const ID_BYTES = 16;

/** Which attempt of the batcher at which line. */
export interface LineTry {
  readonly batch: BatchId;
  /** Counted from 0. */
  readonly line: number;
  /** Counted from 0: another each time the line is to run again. */
  readonly nth: number;
}

/**
 * The id of a line's job: the same whoever asks, so that a batcher that was killed once it had
 * submitted a line finds that job again and makes none beside it. As hard to guess as its batch's id.
 */
export function lineJobId(code: ModelCode, { batch, line, nth }: LineTry): JobId {
  const digest = createHash("sha256").update(`${batch}\n${line}\n${nth}`).digest();
  return jobIdOf(code, digest.subarray(0, ID_BYTES));
}
