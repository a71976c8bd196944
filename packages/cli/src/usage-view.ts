import type { UsageReport, UsageSums } from "@headrace/contract";

import type { UsageOptions } from "./platform-flags.ts";
import type { JobContext } from "./job-commands.ts";
import { paint, type Output } from "./terminal.ts";

const MARGIN = "  ";

/** Show what a tenant has used. @returns the exit code */
export async function showUsage(
  { from, to, by, tenant, json }: UsageOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const report = await headrace.usage({ from, to, groupBy: by, tenant }, { signal });
  terminal.out.write(
    json
      ? `${JSON.stringify(report, null, 2)}\n`
      : `${renderUsage(report, terminal.out).join("\n")}\n`,
  );
  return 0;
}

/** Write a report as a table: a line for each group and one for their sum, names left, sums right. */
export function renderUsage(report: UsageReport, output: Output): string[] {
  const { data, total, from, to, tenant, currency } = report;
  const title = `${MARGIN}${tenant}, ${from} to ${to} (UTC)`;
  if (data.length === 0) return [title, "", `${MARGIN}Nothing was used.`];
  const groups = (["day", "key", "model"] as const).filter((group) => data[0]?.[group] !== null);
  const head = [...groups, "jobs", "tokens in", "tokens out", "GPU s", currency ?? "cost"];
  const rows = data.map((row) => [...groups.map((group) => row[group] ?? ""), ...cellsOf(row)]);
  const last = [...groups.map((_group, at) => (at === 0 ? "total" : "")), ...cellsOf(total)];
  // Without groups there is one row, and it is the sum.
  const all = groups.length === 0 ? [head, ...rows] : [head, ...rows, last];
  const widths = head.map((_title, at) => Math.max(...all.map((row) => row[at]?.length ?? 0)));
  const lines = all.map((row) =>
    row
      .map((cell, at) => {
        const width = widths[at] ?? 0;
        return MARGIN + (at < groups.length ? cell.padEnd(width) : cell.padStart(width));
      })
      .join("")
      .trimEnd(),
  );
  const [titles = "", ...body] = lines;
  return [title, "", paint(output, "dim", titles), ...body];
}

function cellsOf({ jobs, input_tokens, output_tokens, gpu_seconds, cost }: UsageSums): string[] {
  return [
    ...[jobs, input_tokens, output_tokens].map((count) => count.toLocaleString("en-US")),
    gpu_seconds.toFixed(1),
    cost.toFixed(4),
  ];
}
