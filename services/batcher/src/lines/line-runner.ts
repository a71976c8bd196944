import type { BatchBroker, BatchRecord, KnownModel } from "@headrace/broker";
import { isTerminal, PlatformError, type JobId, type Priority } from "@headrace/contract";

import type { Input, InputLine } from "../input/input.ts";
import type { ResultLog } from "../results/result-log.ts";
import type { LineBoard, OpenLine } from "./line-board.ts";
import type { LineFeed } from "./line-feed.ts";
import { nameLine, toRefusal, type LineName } from "./line-result.ts";
import type { LineSettling } from "./line-settling.ts";
import { readLineRequest, toLineSubmission, type LineTerms } from "./line-submission.ts";

/** Lines submitted, or read, side by side. */
const SIDE_BY_SIDE = 32;
/** Lines under way at once: twice what a few engines have in flight. */
const MOST_LINES = 2_000;
/** And bytes of their requests, which Redis holds. */
const MOST_BYTES = 16 * 1_024 * 1_024;
/** The least that a job may be given to start. */
const SHORTEST_DEADLINE_MS = 1_000;
/** A line that nothing was heard of for so long is looked up: what tells of ends is a hint. */
const SILENCE_MS = 15_000;
const LOOK_UP_PAGE = 250;
/** Answers outlast the window by this: a batcher may be away when it ends. */
const EXTRA_RETENTION_MS = 3_600_000;

/** What a line runner works with. */
export interface LineRunnerTools {
  readonly broker: BatchBroker;
  readonly batch: BatchRecord;
  readonly model: KnownModel;
  readonly input: Input;
  readonly feed: LineFeed;
  readonly board: LineBoard;
  readonly results: ResultLog;
  /** The present by Redis' clock, ms. */
  readonly now: () => number;
  /** How urgent lines are now. */
  readonly priority: () => Priority;
}

/** Makes jobs of a batch's lines, as many as are worth having in the queue, and results of those that end. */
export class LineRunner {
  readonly #tools: LineRunnerTools;
  readonly #settling: LineSettling;
  /** Jobs that are known to have ended, and are not looked at yet. */
  readonly #ended = new Set<JobId>();
  #lookedUpAtMs = 0;
  #refusal: PlatformError | null = null;

  constructor(tools: LineRunnerTools, settling: LineSettling) {
    this.#tools = tools;
    this.#settling = settling;
  }

  /** Whether every line has its result. */
  get isDone(): boolean {
    return this.#tools.feed.left === 0 && this.#tools.board.size === 0;
  }

  /**
   * Submit lines, up to the window.
   *
   * @returns how many
   * @throws PlatformError when the queue takes none now; they are submitted again later
   */
  async fill(): Promise<number> {
    const { board, feed, results, now } = this.#tools;
    const isFull = board.size >= MOST_LINES || board.bytes >= MOST_BYTES || results.isBacklogged;
    const again = board.takeDue(now(), SIDE_BY_SIDE);
    const work = again.map(async (line) =>
      this.#submit(line, await this.#tools.input.lineAt(line.place)),
    );
    const most = isFull ? 0 : Math.min(SIDE_BY_SIDE - again.length, MOST_LINES - board.size);
    if (most > 0 && feed.left > 0) {
      await feed.take(most, (lines) => {
        for (const { place, input } of lines) {
          const line = toOpenLine(place, input);
          board.enter(line);
          work.push(this.#submit(line, input));
        }
      });
    }
    await Promise.all(work);
    const refusal = this.#refusal;
    this.#refusal = null;
    if (refusal !== null) throw refusal;
    return work.length;
  }

  /** Take the results of lines that have ended. @returns how many lines got on */
  async collect(): Promise<number> {
    const { broker, batch, model } = this.#tools;
    for (const job of await broker.takeEndedLines(model.code, batch.id, SIDE_BY_SIDE * 2)) {
      this.#ended.add(job);
    }
    const jobs = [...this.#ended].slice(0, SIDE_BY_SIDE);
    await this.#look(jobs);
    return jobs.length;
  }

  /** Look up lines that nothing was heard of for a while, if there may be some. */
  async lookUp(silenceMs = SILENCE_MS): Promise<void> {
    const { board, now } = this.#tools;
    if (now() - this.#lookedUpAtMs < silenceMs) return;
    this.#lookedUpAtMs = now();
    const jobs = board.jobsBefore(now() - silenceMs);
    for (let at = 0; at < jobs.length; at += LOOK_UP_PAGE) {
      await this.#look(jobs.slice(at, at + LOOK_UP_PAGE));
    }
  }

  /** End all jobs of lines that are under way. */
  async cancelAll(): Promise<void> {
    const { board, broker, model } = this.#tools;
    const jobs = board.jobsBefore(Number.POSITIVE_INFINITY);
    for (let at = 0; at < jobs.length; at += SIDE_BY_SIDE) {
      const page = jobs.slice(at, at + SIDE_BY_SIDE);
      await Promise.all(page.map((job) => broker.cancelLine(job, model.version)));
    }
  }

  async #submit(line: OpenLine, input: InputLine): Promise<void> {
    const { board, broker, batch, now } = this.#tools;
    const { line: number, nth } = line;
    try {
      const submission = toLineSubmission(batch, readLineRequest(input), this.#terms());
      const submitted = await broker.submitLine({ batch: batch.id, line: number, nth }, submission);
      line.jobs.push(submitted);
      line.submittedAtMs = now();
      board.assign(line, submitted.id);
      if (isTerminal(submitted.status)) this.#ended.add(submitted.id);
    } catch (error) {
      if (!(error instanceof PlatformError)) throw error;
      if (error.retryable) {
        this.#refusal = error;
        board.delay(line, now());
      } else {
        this.#tools.results.add(line, toRefusal(this.#nameOf(line), error));
      }
    }
  }

  async #look(jobs: readonly JobId[]): Promise<void> {
    const { board, broker } = this.#tools;
    const states = await broker.findLines(jobs);
    await Promise.all(
      jobs.map(async (job, i) => {
        const line = board.find(job);
        if (line !== null) await this.#settling.settle(line, job, states[i] ?? null);
        this.#ended.delete(job);
      }),
    );
  }

  #nameOf(line: OpenLine): LineName {
    return nameLine(this.#tools, line);
  }

  #terms(): LineTerms {
    const { batch, model, now, priority } = this.#tools;
    const deadlineMs = Math.max(Math.round(batch.expiresAtMs - now()), SHORTEST_DEADLINE_MS);
    return {
      model,
      priority: priority(),
      deadlineMs,
      retentionMs: deadlineMs + EXTRA_RETENTION_MS,
    };
  }
}

function toOpenLine(place: number, { line, custom_id: customId, sizeBytes }: InputLine): OpenLine {
  return { place, line, customId, sizeBytes, nth: 0, jobs: [], submittedAtMs: 0 };
}
