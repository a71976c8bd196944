import { lineJobId, type KnownModel } from "@headrace/broker";
import type { BatchBottleneck, BatchProgress, Priority } from "@headrace/contract";

import type { Checkpoint } from "./checkpoint.ts";
import type { HeldBatch } from "./held-batch.ts";
import type { Input } from "./input/input.ts";
import { LineBoard } from "./lines/line-board.ts";
import { LineFeed } from "./lines/line-feed.ts";
import { toUnanswered, type Unanswered } from "./lines/line-result.ts";
import { LineRunner } from "./lines/line-runner.ts";
import { LineSettling } from "./lines/line-settling.ts";
import { Pace } from "./pace.ts";
import { toProgress } from "./progress.ts";
import { ResultLog } from "./results/result-log.ts";
import type { Tally } from "./results/result-buffer.ts";
import { Surroundings } from "./surroundings.ts";
import type { BatcherTools } from "./tools.ts";
import { rest, Trouble } from "./trouble.ts";

/** How soon to look for ends again when there were none. */
const IDLE_MS = 25;
const STORE_LOOK_MS = 100;
const TELL_MS = 2_000;
/** Of the time that is left, what the lines that are left may take before they are more urgent. */
const PUNCTUALITY = 0.8;
/** A pace that was measured for less says little of the whole. */
const PACE_EVIDENCE_MS = 55_000;
const EVIDENCE_SHARE = 0.1;
const MS_PER_SECOND = 1_000;
/** How long cancelled lines may take to end before they count as unanswered. */
const WIND_DOWN_MS = 20_000;
const WIND_DOWN_LOOK_MS = 500;

/** Why the work on lines is over. */
export type WorkEnd = "done" | "cancelled" | "expired" | "stopped";

/** Runs the lines of a batch: submits them, takes their results, and writes down how far it has come. */
export class LineWork {
  readonly #tools: BatcherTools;
  readonly #held: HeldBatch;
  readonly #input: Input;
  readonly #model: KnownModel;
  readonly #now: () => number;
  readonly #board = new LineBoard();
  readonly #pace = new Pace();
  readonly #feed: LineFeed;
  readonly #results: ResultLog;
  readonly #settling: LineSettling;
  readonly #runner: LineRunner;
  readonly #surroundings: Surroundings;
  readonly #running: Trouble;
  readonly #storing: Trouble;
  readonly #telling: Trouble;
  /** Why the work on lines is over: from then on there are no more results. */
  #end: WorkEnd | null = null;
  /** Aborted once it is over, and all results are safe. */
  readonly #allSafe = new AbortController();

  /**
   * @param work what is to be worked on
   * @param now the present by Redis' clock, ms
   */
  constructor(
    tools: BatcherTools,
    work: {
      readonly held: HeldBatch;
      readonly input: Input;
      readonly model: KnownModel;
      readonly checkpoint: Checkpoint;
    },
    now: () => number,
  ) {
    const { held, input, model, checkpoint } = work;
    const { broker, objects, events } = tools;
    this.#tools = tools;
    this.#held = held;
    this.#input = input;
    this.#model = model;
    this.#now = now;
    this.#feed = new LineFeed(input, checkpoint);
    const shared = { broker, board: this.#board, feed: this.#feed, now };
    this.#results = new ResultLog({ ...shared, objects, held }, checkpoint);
    const lines = { ...shared, batch: held.batch, model, input, results: this.#results };
    this.#settling = new LineSettling(lines);
    this.#runner = new LineRunner({ ...lines, priority: () => this.#priority }, this.#settling);
    this.#surroundings = new Surroundings(broker, model);
    this.#running = new Trouble(events.troubled);
    this.#telling = new Trouble(events.troubled);
    this.#storing = new Trouble(events.troubled);
  }

  /** What all lines so far came to. */
  get tally(): Tally {
    return this.#results.tally;
  }

  /** Names of the segments that this claim has written down. */
  get segments(): readonly string[] {
    return this.#results.segments;
  }

  /** How many lines were never taken up. */
  get restSize(): number {
    return this.#feed.left;
  }

  /**
   * Work until all lines have their result, or the batch is to end before, or `signal` is aborted. All
   * results that there are are safe then; where the batch goes on elsewhere, as many as can be.
   *
   * @throws BatchLost
   */
  async run(signal: AbortSignal): Promise<WorkEnd> {
    // When one strand fails, the others are of no use any more.
    const failing = new AbortController();
    const stop = AbortSignal.any([signal, failing.signal]);
    const strands = [this.#runLines(stop), this.#storeResults(stop), this.#tell(stop)];
    for (const strand of strands) strand.catch(() => failing.abort());
    await Promise.allSettled(strands);
    await Promise.all(strands);
    if (this.#end !== null && this.#allSafe.signal.aborted) return this.#end;
    await this.#storing.attempt(() => this.#results.store(), signal);
    return "stopped";
  }

  /** @yields error lines of lines that were never taken up */
  async *rest(code: Unanswered): AsyncGenerator<Uint8Array, void> {
    for (const place of this.#feed.placesLeft()) {
      const { line, custom_id: customId } = await this.#input.lineAt(place);
      const job = lineJobId(this.#model.code, { batch: this.#held.batch.id, line, nth: 0 });
      const result = toUnanswered({ job, customId }, code, null);
      yield Buffer.from(`${JSON.stringify(result.line)}\n`);
    }
  }

  /** Why it is to be over; null while it is not. */
  #findEnd(): WorkEnd | null {
    if (this.#held.status === "cancelling") return "cancelled";
    if (this.#runner.isDone) return "done";
    return this.#now() >= this.#held.batch.expiresAtMs ? "expired" : null;
  }

  get #linesLeft(): number {
    return this.#feed.left + this.#board.size;
  }

  async #runLines(signal: AbortSignal): Promise<void> {
    let end = this.#findEnd();
    while (!signal.aborted && end === null) {
      const moved = await this.#running.attempt(async () => {
        this.#held.assertHeld();
        await this.#runner.lookUp();
        return (await this.#runner.collect()) + (await this.#runner.fill());
      }, signal);
      end = this.#findEnd();
      if (moved === 0 && end === null) await rest(IDLE_MS, signal);
    }
    if (end === "cancelled" || end === "expired") await this.#windDown(end, signal);
    if (!signal.aborted) this.#end = end;
  }

  /** Store results as they come, and all that there are once there will be no more. */
  async #storeResults(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#end !== null && this.#results.isEmpty) return this.#allSafe.abort();
      const isDue = this.#results.isDue || (this.#end !== null && !this.#results.isEmpty);
      if (isDue) await this.#storing.attempt(() => this.#results.store(), signal);
      else await rest(STORE_LOOK_MS, signal);
    }
  }

  async #tell(stop: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stop, this.#allSafe.signal]);
    while (!signal.aborted) {
      const { completed, failed, usage } = this.tally;
      this.#pace.note(this.#now(), { lines: completed + failed, tokens: usage.total_tokens });
      await this.#telling.attempt(async () => {
        await this.#surroundings.look(this.#now());
        await this.#held.write({ progress: this.#progress });
        await this.#tools.broker.tellDemand(this.#model, this.#held.batch.id, {
          left: this.#linesLeft,
          underWay: this.#board.jobCount,
          lineMs: this.#settling.lineMs,
          endsAtMs: this.#held.batch.expiresAtMs,
        });
      }, signal);
      await rest(TELL_MS, signal);
    }
  }

  /** End what is under way; what was answered all the same is kept. */
  async #windDown(end: "cancelled" | "expired", signal: AbortSignal): Promise<void> {
    this.#settling.endWith(`batch_${end}`);
    const untilMs = this.#now() + WIND_DOWN_MS;
    let isTold = false;
    while (!signal.aborted && this.#board.jobCount > 0 && this.#now() < untilMs) {
      await this.#running.attempt(async () => {
        this.#held.assertHeld();
        if (!isTold) await this.#runner.cancelAll();
        isTold = true;
        await this.#runner.collect();
        await this.#runner.lookUp(WIND_DOWN_LOOK_MS);
      }, signal);
      await rest(IDLE_MS, signal);
    }
    if (!signal.aborted) this.#settling.abandon();
  }

  get #progress(): BatchProgress {
    const { hasWorkers } = this.#surroundings;
    const isHeldUp = this.#running.waitingFor ?? this.#storing.waitingFor;
    return toProgress({
      tally: this.tally,
      rates: this.#pace.rates,
      linesLeft: this.#linesLeft,
      bottleneck: this.#bottleneck,
      waitingFor: isHeldUp ?? (hasWorkers ? null : "workers"),
      gpuHourPrice: this.#tools.gpuHourPrice,
    });
  }

  get #bottleneck(): BatchBottleneck {
    const { hasWorkers, hasUrgentJobs } = this.#surroundings;
    if (this.#storing.waitingFor !== null || this.#results.isBacklogged) return "storage";
    if (!hasWorkers) return "workers";
    if (this.#board.delayedCount * 2 > this.#board.size) return "retries";
    return hasUrgentJobs || this.#running.waitingFor === "queue" ? "queue" : "engine";
  }

  /** Work that would not be done in time goes before other batches': the window is a promise. */
  get #priority(): Priority {
    const { createdAtMs, expiresAtMs } = this.#held.batch;
    const windowMs = expiresAtMs - createdAtMs;
    if (this.#pace.spanMs < Math.min(PACE_EVIDENCE_MS, windowMs * EVIDENCE_SHARE)) return "batch";
    const linesPerMs = (this.#pace.rates?.linesPerSecond ?? 0) / MS_PER_SECOND;
    const neededMs = this.#linesLeft / linesPerMs;
    return neededMs > (expiresAtMs - this.#now()) * PUNCTUALITY ? "standard" : "batch";
  }
}
