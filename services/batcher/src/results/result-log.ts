import { objectsOfBatch, type BatchBroker, type SubmittedLine } from "@headrace/broker";
import type { ObjectStore } from "@headrace/storage";

import { writeCheckpoint } from "../checkpoint.ts";
import type { HeldBatch } from "../held-batch.ts";
import type { LineBoard, OpenLine } from "../lines/line-board.ts";
import type { LineFeed } from "../lines/line-feed.ts";
import type { LineResult } from "../lines/line-result.ts";
import { ResultBuffer, type Results, type Tally } from "./result-buffer.ts";

/** Results are stored when there is so much of them, */
const MOST_BYTES = 4 * 1_024 * 1_024;
/** or so many, since Redis keeps each until then, */
const MOST_LINES = 500;
/** or after so long, so that they can be read; of a batch that has run for days, less often. */
const SHORTEST_MS = 2_000;
const LONGEST_MS = 60_000;
const SHARE_OF_AGE = 200;
/** So much more may gather while an object is stored; then no further lines are taken up. */
const BACKLOG = 4;

const KINDS = ["output", "error"] as const;

/** What a result log works with. */
export interface ResultLogTools {
  readonly broker: BatchBroker;
  readonly objects: ObjectStore;
  readonly held: HeldBatch;
  readonly board: LineBoard;
  readonly feed: LineFeed;
  /** The present, ms, of a clock that only goes forward. */
  readonly now: () => number;
}

/**
 * Makes results safe, in this order: an object with their lines, a checkpoint that names it, and only
 * then are the jobs forgotten. Whatever dies in between, each result is in one named segment, or its
 * job is still there.
 */
export class ResultLog {
  readonly #tools: ResultLogTools;
  readonly #buffer: ResultBuffer;
  readonly #startedAtMs: number;
  #storedAtMs: number;
  #segments: readonly string[] = [];
  #objects = 0;
  /** Taken from the buffer, and not safe yet. */
  #unsafe: { readonly results: Results; readonly number: number } | null = null;
  /** Jobs whose results are safe. */
  #forgettable: readonly SubmittedLine[] = [];

  constructor(tools: ResultLogTools, tally: Tally) {
    this.#tools = tools;
    this.#buffer = new ResultBuffer(tally);
    this.#startedAtMs = tools.now();
    this.#storedAtMs = this.#startedAtMs;
  }

  /** What the batch has come to, with what is not safe yet. */
  get tally(): Tally {
    return this.#buffer.tally;
  }

  /** Whether so much waits to be stored that nothing should be added for now. */
  get isBacklogged(): boolean {
    const { size, bytes } = this.#buffer;
    return size >= MOST_LINES * BACKLOG || bytes >= MOST_BYTES * BACKLOG;
  }

  /** Take a line's result: the line is under way no longer. */
  add(line: OpenLine, result: LineResult): void {
    this.#tools.board.settle(line);
    this.#buffer.add(line, result);
  }

  /** Names of the segments that this claim has written down. */
  get segments(): readonly string[] {
    return this.#segments;
  }

  /** Whether all results are safe. */
  get isEmpty(): boolean {
    return this.#unsafe === null && this.#buffer.size === 0;
  }

  /** Whether results have gathered that are worth an object, or have waited for long enough. */
  get isDue(): boolean {
    if (this.#unsafe !== null) return true;
    const { size, bytes } = this.#buffer;
    if (size === 0) return false;
    const nowMs = this.#tools.now();
    const ageMs = nowMs - this.#startedAtMs;
    const pauseMs = Math.min(Math.max(ageMs / SHARE_OF_AGE, SHORTEST_MS), LONGEST_MS);
    return size >= MOST_LINES || bytes >= MOST_BYTES || nowMs - this.#storedAtMs >= pauseMs;
  }

  /**
   * Make safe what has gathered. Not to be called again before it has come to an end; after a failure
   * the next call begins with what this one was to store.
   *
   * @throws PlatformError `storage_unavailable`, `storage_full`, `queue_unavailable`; BatchLost
   */
  async store(): Promise<void> {
    const { broker, objects, held, board, feed } = this.#tools;
    this.#unsafe ??= { results: this.#buffer.take(), number: (this.#objects += 1) };
    const { results, number } = this.#unsafe;
    const names: string[] = [];
    for (const kind of KINDS) {
      if (results[kind] === "") continue;
      const name = segmentName(held.claim.epoch, number, kind);
      await objects.put(objectsOfBatch(held.batch.id) + name, Buffer.from(results[kind]));
      names.push(name);
    }
    const { completed, failed, usage, gpuMs } = results.tally;
    await held.write({
      counts: { total: feed.total, completed, failed },
      usage,
      segments: names,
      checkpoint: writeCheckpoint({
        next: feed.next,
        open: [...feed.resumed, ...board.lines.map(({ place }) => place), ...this.#buffer.places],
        completed,
        failed,
        usage,
        gpuMs,
      }),
    });
    this.#unsafe = null;
    this.#segments = [...this.#segments, ...names];
    this.#storedAtMs = this.#tools.now();
    this.#forgettable = [...this.#forgettable, ...results.jobs];
    await broker.forgetLines(this.#forgettable);
    this.#forgettable = [];
  }
}

/** Segments are read in the order in which they are written down: names only need to differ. */
function segmentName(epoch: number, number: number, kind: (typeof KINDS)[number]): string {
  return `${epoch}-${number}-${kind}`;
}

/** Whether a segment holds lines of the output file, or of the error file. */
export function isSegmentOf(name: string, kind: (typeof KINDS)[number]): boolean {
  return name.endsWith(`-${kind}`);
}
