import type { SubmittedLine } from "@headrace/broker";
import type { JobId } from "@headrace/contract";

/** A line that has been taken up and has no result yet. */
export interface OpenLine {
  /** In the order in which lines are run. */
  readonly place: number;
  /** In the file. */
  readonly line: number;
  readonly customId: string;
  readonly sizeBytes: number;
  /** Which try is running, or next: from 0. */
  nth: number;
  /** All jobs that it was so far: each is kept until its result is safe. */
  readonly jobs: SubmittedLine[];
  /** When its last try began, by this process' clock, ms. */
  submittedAtMs: number;
}

/** The lines of a batch that are under way: each is a job, becomes one just now, or waits to be tried again. */
export class LineBoard {
  readonly #lines = new Set<OpenLine>();
  readonly #byJob = new Map<JobId, OpenLine>();
  readonly #delayed = new Map<OpenLine, number>();
  #bytes = 0;

  get size(): number {
    return this.#lines.size;
  }

  /** Bytes of their requests. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many are jobs now. */
  get jobCount(): number {
    return this.#byJob.size;
  }

  /** How many wait to be tried again. */
  get delayedCount(): number {
    return this.#delayed.size;
  }

  get lines(): readonly OpenLine[] {
    return [...this.#lines];
  }

  enter(line: OpenLine): void {
    this.#lines.add(line);
    this.#bytes += line.sizeBytes;
  }

  /** Say which job a line is now. */
  assign(line: OpenLine, job: JobId): void {
    this.#byJob.set(job, line);
  }

  find(job: JobId): OpenLine | null {
    return this.#byJob.get(job) ?? null;
  }

  /** Say that a line is no job now, and from when on it may be one again. */
  delay(line: OpenLine, dueAtMs: number): void {
    this.#unassign(line);
    this.#delayed.set(line, dueAtMs);
  }

  /** Take, to submit them now, lines whose time for another try has come. */
  takeDue(nowMs: number, most: number): OpenLine[] {
    const due: OpenLine[] = [];
    for (const [line, dueAtMs] of this.#delayed) {
      if (due.length >= most) break;
      if (dueAtMs <= nowMs) due.push(line);
    }
    for (const line of due) this.#delayed.delete(line);
    return due;
  }

  /** Take a line out: it has its result. */
  settle(line: OpenLine): void {
    if (!this.#lines.delete(line)) return;
    this.#bytes -= line.sizeBytes;
    this.#delayed.delete(line);
    this.#unassign(line);
  }

  /** The jobs, open as far as is known, of lines whose try began before an instant. */
  jobsBefore(atMs: number): JobId[] {
    return [...this.#byJob].flatMap(([job, line]) => (line.submittedAtMs < atMs ? [job] : []));
  }

  #unassign({ jobs }: OpenLine): void {
    for (const { id } of jobs) this.#byJob.delete(id);
  }
}
