import type { BatchRecord } from "@headrace/broker";
import { isTerminalBatch, type Batch, type BatchProgress } from "@headrace/contract";

const MS_PER_SECOND = 1_000;
const NO_COUNTS: Batch["request_counts"] = { total: 0, completed: 0, failed: 0 };
const NO_PROGRESS: BatchProgress = {
  tokens: 0,
  tokens_per_second: null,
  lines_per_second: null,
  eta_seconds: null,
  cost: null,
  bottleneck: null,
  waiting_for: null,
};

/** Show a batch the way OpenAI does, with how it gets on. */
export function toBatch(record: BatchRecord): Batch {
  const { at, errors } = record;
  return {
    id: record.id,
    object: "batch",
    endpoint: record.endpoint,
    model: record.model,
    errors: errors === null ? null : { object: "list", data: errors },
    input_file_id: record.inputFile,
    completion_window: record.completionWindow,
    status: record.status,
    output_file_id: record.outputFile,
    error_file_id: record.errorFile,
    created_at: toSeconds(record.createdAtMs),
    in_progress_at: toInstant(at.in_progress_at),
    expires_at: toSeconds(record.expiresAtMs),
    finalizing_at: toInstant(at.finalizing_at),
    completed_at: toInstant(at.completed_at),
    failed_at: toInstant(at.failed_at),
    expired_at: toInstant(at.expired_at),
    cancelling_at: toInstant(at.cancelling_at),
    cancelled_at: toInstant(at.cancelled_at),
    request_counts: record.counts ?? NO_COUNTS,
    usage: record.usage,
    metadata: record.metadata,
    progress: toProgress(record),
  };
}

/** What was last said of its pace holds only while somebody runs it. */
function toProgress({ status, progress, isHeld }: BatchRecord): BatchProgress {
  const last = progress ?? NO_PROGRESS;
  if (isHeld) return last;
  return {
    ...NO_PROGRESS,
    tokens: last.tokens,
    cost: last.cost,
    waiting_for: isTerminalBatch(status) ? null : "batcher",
  };
}

function toInstant(ms: number | null): number | null {
  return ms === null ? null : toSeconds(ms);
}

function toSeconds(ms: number): number {
  return Math.floor(ms / MS_PER_SECOND);
}
