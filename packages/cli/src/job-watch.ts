import {
  HeadraceError,
  isTerminalEvent,
  TextFold,
  type Headrace,
  type TerminalEvent,
  type TextPiece,
} from "@headrace/client";
import type { JobEvent, JobStatus } from "@headrace/contract";

import { CommandFailure } from "./failure.ts";
import type { EndedJob } from "./summary.ts";
import { paint, type Terminal } from "./terminal.ts";
import { numberOfAttempt } from "./timeline-view.ts";
import { WaitingLine } from "./waiting-line.ts";

type AttemptStarted = Extract<JobEvent, { type: "attempt.started" }>;

/**
 * Shows a job as it happens: its text on `out`, what else is worth knowing on `err`.
 *
 * Text that an attempt voids cannot be taken back. At a terminal the new text follows after a word
 * about it; into a pipe or a file nothing wrong may go, so watching ends with a failure there.
 */
export class JobWatch {
  readonly #headrace: Headrace;
  readonly #job: string;
  readonly #terminal: Terminal;
  readonly #fold = new TextFold();
  readonly #waiting: WaitingLine;
  /** The end of what was written to `out`: "" before anything was. */
  #lastCharacter = "";
  /** The number of the attempt under way, as people count; null where that is not known. */
  #attempt: number | null = null;
  #vectorCount = 0;

  constructor(headrace: Headrace, job: string, terminal: Terminal) {
    this.#headrace = headrace;
    this.#job = job;
    this.#terminal = terminal;
    this.#waiting = new WaitingLine(headrace, job, terminal.err);
  }

  /**
   * Watch the job from its first event to its end.
   *
   * @throws HeadraceError; CommandFailure as above; the signal's reason
   */
  async run(signal: AbortSignal): Promise<EndedJob> {
    try {
      for await (const { event } of this.#headrace.events(this.#job, { signal })) {
        if (isTerminalEvent(event)) return toEndedJob(event);
        await this.#show(event, signal);
      }
    } finally {
      this.#waiting.stop();
      this.#endLine();
    }
    throw new CommandFailure(`the events of ${this.#job} ended before the job did`);
  }

  async #show(event: JobEvent, signal: AbortSignal): Promise<void> {
    if (event.type === "job.queued") this.#waiting.start();
    if (event.type === "attempt.started") await this.#showAttempt(event, signal);
    if (event.type === "output.delta") this.#vectorCount += event.data?.length ?? 0;
    const piece = this.#fold.take(event);
    if (piece !== null) this.#write(piece);
    if (this.#vectorCount > 0) this.#tell(`vectors: ${this.#vectorCount}`);
  }

  async #showAttempt({ epoch, reason }: AttemptStarted, signal: AbortSignal): Promise<void> {
    if (this.#lastCharacter === "") this.#waiting.start();
    if (reason === "first") {
      this.#attempt = 1;
      return;
    }
    // Not its epoch: where Redis was restarted, that leaves a gap.
    this.#attempt =
      this.#attempt === null ? await this.#findNumber(epoch, signal) : this.#attempt + 1;
    const name = this.#attempt === null ? "a further attempt" : `attempt ${this.#attempt}`;
    this.#tell(`${name} (${toWords(reason)})`);
  }

  /** Ask for an attempt's number: the log no longer tells of those whose output is void. */
  async #findNumber(epoch: number, signal: AbortSignal): Promise<number | null> {
    try {
      return numberOfAttempt(await this.#headrace.timeline(this.#job, { signal }), epoch);
    } catch (error) {
      // It is worth no failure of watching.
      if (error instanceof HeadraceError) return null;
      throw error;
    }
  }

  #write({ reset, text }: TextPiece): void {
    const { out, command, flags } = this.#terminal;
    this.#waiting.stop();
    if (reset && !out.isTty) {
      throw new CommandFailure(
        `The attempt that wrote this output was lost, and what it wrote is void. The job goes on; get its result with: ${command} watch ${flags}${this.#job}`,
      );
    }
    if (reset) this.#tell("what stands above is void; it starts anew:");
    if (text === "") return;
    out.write(text);
    this.#lastCharacter = text.slice(-1);
  }

  #tell(text: string): void {
    const { err } = this.#terminal;
    this.#waiting.stop();
    this.#endLine();
    err.write(`${paint(err, "dim", `· ${text}`)}\n`);
  }

  #endLine(): void {
    const { out } = this.#terminal;
    // What others read is the text to the byte: an attempt may go on in the middle of a line.
    if (!out.isTty) return;
    if (this.#lastCharacter !== "" && this.#lastCharacter !== "\n") out.write("\n");
    this.#lastCharacter &&= "\n";
  }
}

function toWords(reason: string): string {
  return reason.replaceAll("_", " ");
}

const STATUSES: Readonly<Record<TerminalEvent["type"], JobStatus>> = {
  "job.completed": "completed",
  "job.failed": "failed",
  "job.cancelled": "cancelled",
  "job.expired": "expired",
};

function toEndedJob(event: TerminalEvent): EndedJob {
  return {
    id: event.job,
    status: STATUSES[event.type],
    usage: event.usage,
    latency: event.latency,
    error: "error" in event ? event.error : null,
  };
}
