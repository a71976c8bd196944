import type { Batch, BatchBottleneck, BatchWait } from "@headrace/contract";

import { formatDuration } from "../duration.ts";

const BOTTLENECKS: Readonly<Record<BatchBottleneck, string>> = {
  validation: "checking the file",
  engine: "engines full",
  queue: "behind other work",
  workers: "no worker",
  retries: "trying again",
  storage: "slow storage",
  assembly: "writing the files",
};

const WAITS: Readonly<Record<BatchWait, string>> = {
  batcher: "waiting for a batcher",
  storage: "waiting for storage",
  storage_space: "waiting for room in storage",
  workers: "waiting for a worker",
  queue: "waiting for the queue",
};

/** What can be said of a batch, the most telling first. */
export interface ProgressText {
  /** Of all lines, those that are done; null before they are counted. */
  readonly share: number | null;
  /** Short texts, each with how soon it may be left out where there is no room: 0 is last. */
  readonly parts: readonly { readonly text: string; readonly rank: number }[];
}

/** Say how a batch gets on. */
export function describeProgress(batch: Batch): ProgressText {
  const { request_counts: counts, progress, status } = batch;
  const done = counts.completed + counts.failed;
  const share = counts.total === 0 ? null : done / counts.total;
  const parts: { text: string; rank: number }[] = [];
  const say = (rank: number, text: string | null): void => {
    if (text !== null) parts.push({ rank, text });
  };
  // Rounded down: at 100 % all of it is done.
  if (share !== null) say(0, `${String(Math.floor(share * 100)).padStart(3)} %`);
  if (share !== null) say(2, `${count(done)}/${count(counts.total)}`);
  if (counts.failed > 0) say(3, `${count(counts.failed)} failed`);
  if (progress.waiting_for !== null) say(1, WAITS[progress.waiting_for]);
  else if (status !== "in_progress") say(1, describeStatus(batch));
  else describePace(batch, say);
  return { share, parts };
}

function describePace({ progress }: Batch, say: (rank: number, text: string | null) => void): void {
  const { tokens_per_second: tokens, eta_seconds: eta, bottleneck } = progress;
  say(5, tokens === null ? null : `${count(Math.round(tokens))} tokens/s`);
  say(4, eta === null ? null : `${formatRoughly(eta)} left`);
  say(6, bottleneck === null ? null : BOTTLENECKS[bottleneck]);
}

/** Write a time that nobody knows to the second. */
export function formatRoughly(seconds: number): string {
  return seconds < 60 ? `${Math.max(1, Math.ceil(seconds))} s` : formatDuration(seconds);
}

function describeStatus({ status }: Batch): string {
  if (status === "validating") return "checking the file";
  return status === "finalizing" ? "writing the files" : status;
}

/** Say how many requests a batch has, and how many of them are done. */
export function describeCounts({ request_counts: counts }: Batch): string {
  const done = `${count(counts.completed + counts.failed)}/${count(counts.total)}`;
  return counts.failed === 0 ? done : `${done}, ${count(counts.failed)} failed`;
}

/** Put texts into one line of so many characters, leaving out what has no room. */
export function fitLine({ parts }: ProgressText, columns: number): string {
  const kept = [...parts];
  const write = (): string => kept.map(({ text }) => text).join(" · ");
  while (kept.length > 1 && write().length > columns) {
    const least = kept.reduce((worst, part) => (part.rank > worst.rank ? part : worst));
    kept.splice(kept.indexOf(least), 1);
  }
  return write().slice(0, Math.max(0, columns));
}

/** Draw what share of the whole is done, in eighths of a character. */
export function drawBar(share: number, columns: number): string {
  const eighths = Math.floor(Math.min(1, Math.max(0, share)) * columns * 8);
  const full = "█".repeat(Math.floor(eighths / 8));
  const rest = eighths % 8 === 0 ? "" : (PARTS[(eighths % 8) - 1] ?? "");
  return (full + rest).padEnd(columns, "░");
}

const PARTS = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"] as const;

function count(value: number): string {
  return value.toLocaleString("en-US");
}
