import { z } from "zod";

import type { Figure } from "./figure.ts";

const SIGNIFICANT_DIGITS = 4;
const COLUMNS = ["figure", "value", "unit", "limit", "ok", "spread"] as const;
/** What is to the left of its column's edge; numbers are to the right of it. */
const LEFT: ReadonlySet<string> = new Set(["figure", "unit", "ok"]);

/** The report's JSON: one object per figure, by name. */
export const reportSchema = z.record(
  z.string(),
  z.strictObject({
    value: z.number(),
    unit: z.string(),
    /** Whether it is the most or the least that is allowed depends on the figure. */
    limit: z.number().nullable(),
    ok: z.boolean(),
    spread: z.tuple([z.number(), z.number()]),
  }),
);

/** Write the figures as JSON. */
export function toJson(figures: readonly Figure[]): string {
  const report: z.input<typeof reportSchema> = Object.fromEntries(
    figures.map(({ name, value, unit, limit, ok, spread: [least, greatest] }) => [
      name,
      { value, unit, limit: limit?.value ?? null, ok, spread: [least, greatest] },
    ]),
  );
  return `${JSON.stringify(report, null, 2)}\n`;
}

/** Write the figures as a table for people. */
export function toTable(figures: readonly Figure[]): string {
  const rows = [COLUMNS, ...figures.map(toRow)];
  const widths = COLUMNS.map((_column, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => {
          const width = widths[at] ?? 0;
          return LEFT.has(COLUMNS[at] ?? "") ? cell.padEnd(width) : cell.padStart(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

function toRow({ name, value, unit, limit, ok, spread }: Figure): readonly string[] {
  const [least, greatest] = spread;
  const bound = limit === null ? "" : limit.bound === "at_most" ? "≤ " : "≥ ";
  return [
    name,
    toText(value),
    unit,
    limit === null ? "" : bound + toText(limit.value),
    limit === null ? "" : ok ? "yes" : "NO",
    least === greatest ? "" : `${toText(least)} – ${toText(greatest)}`,
  ];
}

function toText(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.max(0, SIGNIFICANT_DIGITS - 1 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toLocaleString("en", { maximumFractionDigits: Math.min(digits, 3) });
}
