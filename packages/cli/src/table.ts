import { paint, type Output } from "./terminal.ts";

const MARGIN = "  ";

/** Write rows under a head, each column as wide as its widest cell. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  output: Output,
): string[] {
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  const write = (row: readonly string[]): string =>
    row
      .map((cell, at) => MARGIN + cell.padEnd(widths[at] ?? 0))
      .join("")
      .trimEnd();
  return [paint(output, "dim", write(head)), ...rows.map(write)];
}

/** Write an instant of the API's as a person reads it, in this machine's time zone. */
export function writeInstant(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleString("sv").slice(0, "2026-11-25 12:00".length);
}
