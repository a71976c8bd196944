import type { Job, Latency } from "@headrace/contract";

import { paintStatus, renderSummary } from "./summary.ts";
import { paint, type Output } from "./terminal.ts";
import { describeStanding } from "./waiting-line.ts";

/** Write all there is to say of a job: what it is, what came of it, where its time went. */
export function renderJob(job: Job, latency: Latency | null, output: Output): string[] {
  const head = [job.model, job.endpoint, job.priority].join(" · ");
  const created = new Date(job.created_at * 1_000).toLocaleString("sv");
  const about = [
    `${head} · created ${created}`,
    ...(job.retry_of === null ? [] : [`retry of ${job.retry_of}`]),
  ];
  const lines = about.map((line) => `  ${paint(output, "dim", line)}`);
  if (latency === null) {
    const standing = job.status === "queued" ? `  ${describeStanding(job)}` : "  running …";
    return [`  ${paintStatus(output, job.status)} ${job.id}`, ...lines, standing];
  }
  const text = findText(job.result);
  const ended = renderSummary({ ...job, latency }, output);
  return [...(text === null ? [] : [text, ""]), ...ended.slice(0, 1), ...lines, ...ended.slice(1)];
}

/** The text of a result's first choice, or what there is instead. */
function findText(result: Job["result"]): string | null {
  const choices = result?.["choices"];
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  if (isObject(first)) {
    const message = first["message"];
    const text = isObject(message) ? message["content"] : first["text"];
    return typeof text === "string" ? text : null;
  }
  const data = result?.["data"];
  return Array.isArray(data) ? `${data.length} vectors; --json shows them` : null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
