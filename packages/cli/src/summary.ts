import type { ErrorBody, JobStatus, Latency, Usage } from "@headrace/contract";

import { formatDuration } from "./duration.ts";
import { paint, type Output, type Style } from "./terminal.ts";
import { renderWaterfall } from "./waterfall.ts";

/** A job that has ended, as far as its summary goes. */
export interface EndedJob {
  readonly id: string;
  readonly status: JobStatus;
  readonly usage: Usage | null;
  readonly latency: Latency;
  readonly error: ErrorBody | null;
}

const STATUS_STYLES: Readonly<Record<JobStatus, Style>> = {
  queued: "yellow",
  in_progress: "cyan",
  completed: "green",
  failed: "red",
  cancelled: "yellow",
  expired: "red",
};

/** Show a status in its colour. */
export function paintStatus(output: Output, status: JobStatus): string {
  return paint(output, STATUS_STYLES[status], status);
}

/** Write what became of a job, what it cost, and where its time went; one screen at most. */
export function renderSummary(job: EndedJob, output: Output): string[] {
  const { id, status, latency, error } = job;
  const attempts = latency.attempts > 1 ? ` · ${latency.attempts} attempts` : "";
  const head = `  ${paintStatus(output, status)} ${paint(output, "dim", `${id}${attempts}`)}`;
  const why = error === null ? [] : [`  ${error.message} (${error.code})`];
  const figures = describeFigures(job).join(" · ");
  return [head, ...why, `  ${figures}`, "", ...renderWaterfall(latency, output)];
}

function describeFigures({ usage, latency }: EndedJob): string[] {
  const { ttft_seconds: ttft, tpot_seconds: tpot } = latency;
  const tokensOut = usage?.completion_tokens ?? 0;
  return [
    ...(usage === null ? [] : [`${usage.prompt_tokens} tokens in`]),
    ...(tokensOut === 0 ? [] : [`${tokensOut} out`]),
    ...(ttft === null ? [] : [`first token ${formatDuration(ttft)}`]),
    ...(tpot === null || tpot === 0 ? [] : [`${(1 / tpot).toFixed(0)} tok/s`]),
    `${formatDuration(latency.total_seconds)} in all`,
  ];
}
