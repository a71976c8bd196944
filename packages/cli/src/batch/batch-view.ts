import type { Batch } from "@headrace/contract";

import { paint, type Output } from "../terminal.ts";
import { writeInstant } from "../table.ts";
import type { OutputFiles } from "./output-files.ts";
import { describeProgress, fitLine, formatRoughly } from "./progress-text.ts";

/** Faults of a file that are shown. */
const SHOWN_ERRORS = 10;
const WORD_COLUMNS = 12;

/** Say what came of a batch whose answers are written. */
export function describeEnd(
  batch: Batch,
  files: Pick<OutputFiles, "answers" | "errors">,
): string[] {
  const { request_counts: counts, usage, progress, status } = batch;
  const missing = counts.total - counts.completed;
  const parts = [
    `${count(counts.completed)} answers in ${files.answers}`,
    ...(missing > 0 ? [describeMissing(missing, batch, files)] : []),
  ];
  const took = secondsOf(batch);
  const sums = [
    ...(took === null ? [] : [formatRoughly(took)]),
    ...(usage === null ? [] : [`${count(usage.total_tokens)} tokens`]),
    ...(progress.cost === null ? [] : [`cost ${progress.cost.toFixed(4)}`]),
  ];
  const end =
    status === "completed" ? [] : [`${batch.id} ended as ${status}: ${WHY[status] ?? ""}`];
  return [...end, parts.join(", "), ...(sums.length === 0 ? [] : [sums.join(" · ")])];
}

function describeMissing(
  missing: number,
  { error_file_id: errors }: Batch,
  files: Pick<OutputFiles, "errors">,
): string {
  return `${count(missing)} without one${errors === null ? "" : ` in ${files.errors}`}`;
}

const WHY: Readonly<Record<string, string>> = {
  expired: "its window was over before all was done",
  cancelled: "somebody cancelled it",
};

/** Say why a batch was not run. Lines are those of what was uploaded. */
export function describeErrors({ id, errors }: Batch): string[] {
  const all = errors?.data ?? [];
  const shown = all
    .slice(0, SHOWN_ERRORS)
    .map(({ line, message }) => `  ${line === null ? "" : `request ${line}: `}${message}`);
  const more = all.length > SHOWN_ERRORS ? [`  and ${all.length - SHOWN_ERRORS} more`] : [];
  return [`${id} was not run:`, ...shown, ...more];
}

/** Write a batch as it is now, a line for each thing there is to know. */
export function renderBatch(batch: Batch, output: Output): string[] {
  const { metadata, progress, usage } = batch;
  const rows: [string, string | null][] = [
    ["batch", batch.id],
    ["status", batch.status],
    ["progress", fitLine(describeProgress(batch), Number.POSITIVE_INFINITY).trim()],
    ["for", batch.model === null ? batch.endpoint : `${batch.endpoint} of ${batch.model}`],
    ["made", writeInstant(batch.created_at)],
    ["until", `${writeInstant(batch.expires_at)} (${batch.completion_window})`],
    ["tokens", usage === null ? null : count(usage.total_tokens)],
    ["cost", progress.cost === null ? null : progress.cost.toFixed(4)],
    ["answers", batch.output_file_id],
    ["errors", batch.error_file_id],
    ...Object.entries(metadata ?? {}).map(([name, value]): [string, string] => [name, value]),
  ];
  const lines = rows
    .filter(([, text]) => text !== null && text !== "")
    .map(([word, text]) => `  ${paint(output, "dim", word.padEnd(WORD_COLUMNS))}${text ?? ""}`);
  return batch.errors === null ? lines : [...lines, "", ...describeErrors(batch)];
}

/** From its making to its end, s. */
function secondsOf(batch: Batch): number | null {
  const end = batch.completed_at ?? batch.expired_at ?? batch.cancelled_at;
  return end === null ? null : Math.max(1, end - batch.created_at);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
