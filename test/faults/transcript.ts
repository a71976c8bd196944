import type { JobEvent } from "@headrace/contract";

/** An event as a reader saw it. */
export interface SeenEvent {
  /** Place in the log; empty for `job.queued`, which has none. */
  readonly id: string;
  readonly type: JobEvent["type"];
  /** What it adds to the text of the first choice. */
  readonly text: string;
  /** Whether it voids all text before it. */
  readonly reset: boolean;
  /** Why an attempt began; empty for other events. */
  readonly reason: string;
  /** When it came, ms on this process' monotonic clock. */
  readonly atMs: number;
}

/** How a reader's work ended: with the job's end, with the job gone, or by its patience. */
export type ReaderEnd = "ended" | "gone" | "gave_up";

/** All that one reader of one job saw, over all of its connections. */
export interface Transcript {
  readonly events: readonly SeenEvent[];
  /** Connections it took: one more than it was cut. */
  readonly connections: number;
  readonly end: ReaderEnd;
  /** Answers that the API should never give, as "<status> <body>". */
  readonly oddities: readonly string[];
}
