import type { AttemptView, Timeline } from "@headrace/contract";

import { formatDuration } from "./duration.ts";
import { paintStatus } from "./summary.ts";
import { paint, type Output } from "./terminal.ts";
import { renderWaterfall } from "./waterfall.ts";

/** Something that happened, so many seconds after the job was accepted; null = not known when. */
interface Moment {
  readonly atSeconds: number | null;
  readonly text: string;
}

/**
 * Write what happened to a job: a line for its begin, one for each attempt with why it ended, one
 * for its end; then where the time went.
 */
export function renderTimeline(timeline: Timeline, output: Output): string[] {
  const { job, status, error, latency, created_at: createdAt } = timeline;
  const created = new Date(createdAt * 1_000).toLocaleString("sv");
  const moments = momentsOf(timeline, output);
  const times = moments.map(({ atSeconds }) =>
    atSeconds === null ? "" : `+${formatDuration(atSeconds)}`,
  );
  const width = Math.max(...times.map(({ length }) => length));
  const lines = moments.map(
    ({ text }, at) => `  ${paint(output, "dim", (times[at] ?? "").padStart(width))}  ${text}`,
  );
  return [
    `  ${paintStatus(output, status)} ${paint(output, "dim", `${job} · created ${created}`)}`,
    ...(error === null ? [] : [`  ${error.message} (${error.code})`]),
    "",
    ...lines,
    ...(latency === null ? [] : ["", ...renderWaterfall(latency, output)]),
  ];
}

/** The number of an attempt as people count them; null when the timeline does not have it. */
export function numberOfAttempt(timeline: Timeline, epoch: number): number | null {
  const at = timeline.attempts.findIndex((attempt) => attempt.epoch === epoch);
  return at === -1 ? null : timeline.forgotten_attempts + at + 1;
}

function momentsOf(timeline: Timeline, output: Output): Moment[] {
  const { created_at: createdAt, ended_at: endedAt, forgotten_attempts: forgotten } = timeline;
  const attempts = timeline.attempts.map((attempt, at) => ({
    atSeconds: attempt.started_at - createdAt,
    // Not its epoch: where Redis was restarted, that leaves a gap.
    text: describeAttempt(attempt, `attempt ${forgotten + at + 1}`, output),
  }));
  const before = forgotten === 1 ? "1 attempt" : `${forgotten} attempts`;
  return [
    { atSeconds: 0, text: "accepted" },
    ...(forgotten === 0 ? [] : [{ atSeconds: null, text: `… ${before} of which nothing is kept` }]),
    ...attempts,
    endedAt === null
      ? { atSeconds: null, text: timeline.status === "queued" ? "waits …" : "runs …" }
      : { atSeconds: endedAt - createdAt, text: paintStatus(output, timeline.status) },
  ];
}

function describeAttempt(attempt: AttemptView, name: string, output: Output): string {
  const { worker, started_at: startedAt, ended_at: endedAt } = attempt;
  const by = `${name} ${paint(output, "dim", `by ${worker}`)}${describeBegin(attempt)}`;
  if (endedAt === null) return by;
  return `${by}: ${describeEnd(attempt, output)} after ${formatDuration(endedAt - startedAt)}`;
}

function describeBegin({ from, reset }: AttemptView): string {
  if (reset) return ", starts over";
  if (from === 0) return "";
  return `, goes on after ${from === 1 ? "1 piece" : `${from} pieces`} of output`;
}

/** Ends that are nobody's fault, in words; others are named as the API names them. */
const WORDS: Readonly<Record<string, string>> = {
  handed_back: "handed back",
  cannot_continue: "handed back, cannot go on exactly",
  worker_lost: "given up, its worker was lost",
  log_lost: "given up, Redis had lost output",
  engine_error: "the engine failed",
};

const FINE: ReadonlySet<string | null> = new Set([
  "completed",
  "handed_back",
  "cannot_continue",
  "cancelled",
]);

function describeEnd({ end, error_code: code }: AttemptView, output: Output): string {
  const text = `${WORDS[end ?? ""] ?? end ?? "ended"}${code === null ? "" : ` (${code})`}`;
  return FINE.has(end) ? text : paint(output, "red", text);
}
