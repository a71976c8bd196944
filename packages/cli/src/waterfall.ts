import type { Latency, Stage } from "@headrace/contract";

import { paint, type Output, type Style } from "./terminal.ts";

/** Blocks that fill a cell from the left by eighths; a whole cell is the last. */
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"] as const;
const CELL_EIGHTHS = 8;
/** A bar wider than this says no more. */
const WIDEST_BAR = 60;
/** Narrower than this a bar says nothing, and is left out. */
const NARROWEST_BAR = 8;
const MARGIN = "  ";

const STYLES: Readonly<Record<Stage["stage"], Style>> = {
  admit: "blue",
  queue: "yellow",
  lost_attempts: "red",
  dispatch: "blue",
  engine_queue: "yellow",
  prefill: "magenta",
  decode: "green",
  finish: "blue",
};

/**
 * Draw where a job's time went: a line for each stage with its seconds, its share, and a bar that
 * begins where the stage before ended. The lines fit the output's width.
 *
 * Attempts that were lost have a line only where there were any. `~` marks what was inferred.
 */
export function renderWaterfall(latency: Latency, output: Output): string[] {
  const stages = latency.stages.filter(
    ({ stage, seconds }) => stage !== "lost_attempts" || seconds > 0,
  );
  const total = latency.total_seconds;
  const rows = stages.map(({ stage, seconds, estimated }) => ({
    stage,
    seconds,
    cells: [stage, formatSeconds(seconds, estimated), formatShare(seconds, total)],
  }));
  const widths = [0, 1, 2].map((column) =>
    Math.max(...rows.map(({ cells }) => cells[column]?.length ?? 0)),
  );
  const [nameWidth = 0, secondsWidth = 0, shareWidth = 0] = widths;
  const labelWidth = MARGIN.length * 4 + nameWidth + secondsWidth + shareWidth;
  const barWidth = Math.min(WIDEST_BAR, output.columns - labelWidth - 1);

  let startSeconds = 0;
  return rows.map(({ stage, seconds, cells: [name = "", time = "", share = ""] }) => {
    const span = { start: startSeconds / total, length: seconds / total };
    startSeconds += seconds;
    const bar = barWidth < NARROWEST_BAR || total === 0 ? "" : drawBar(span, barWidth);
    return [
      `${MARGIN}${name.padEnd(nameWidth)}`,
      time.padStart(secondsWidth),
      paint(output, "dim", share.padStart(shareWidth)),
      paint(output, STYLES[stage], bar),
    ]
      .join(MARGIN)
      .trimEnd();
  });
}

/** Draw a part of the whole, of which `start` and `length` are fractions, as blocks. */
function drawBar(span: { readonly start: number; readonly length: number }, width: number): string {
  if (span.length <= 0) return "";
  const all = width * CELL_EIGHTHS;
  // Blocks fill from the left, so a bar can end anywhere but begins with a cell. The last cell is
  // kept free for the shortest of bars at the very end.
  const startCell = Math.min(Math.floor(span.start * width), width - 1);
  const end = Math.round((span.start + span.length) * all);
  const eighths = Math.max(1, Math.min(end, all) - startCell * CELL_EIGHTHS);
  const whole = Math.floor(eighths / CELL_EIGHTHS);
  return " ".repeat(startCell) + "█".repeat(whole) + (EIGHTHS[eighths % CELL_EIGHTHS] ?? "");
}

function formatSeconds(seconds: number, isEstimated: boolean | undefined): string {
  return `${isEstimated === true ? "~" : ""}${seconds.toFixed(seconds < WHOLE ? 4 : 1)} s`;
}

/** From here on, parts of a millisecond say nothing, in seconds. */
const WHOLE = 1_000;

function formatShare(seconds: number, total: number): string {
  return total === 0 ? "–" : `${((seconds / total) * 100).toFixed(1)} %`;
}
