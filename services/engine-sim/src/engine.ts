import { EngineMetrics, type EngineState, type RejectionReason } from "./engine-metrics.ts";
import { stepMs, type StepTimes } from "./profile.ts";
import { Scheduler, type SchedulerLimits, type StepPlan } from "./scheduler.ts";
import { type FinishReason, Sequence, type SequenceOptions } from "./sequence.ts";
import { SPECIAL } from "./vocabulary.ts";

/** How an engine computes and what it accepts. */
export interface EngineOptions {
  readonly times: StepTimes;
  readonly limits: SchedulerLimits;
  readonly maxModelLen: number;
  /** Most sequences waiting and running. */
  readonly maxNumQueuedReqs: number;
  /** New work is refused while so many prompt tokens wait for their first output token. */
  readonly maxNumQueuedTokens: number;
}

/** A step that ends within this many ms is due: timers fire up to a millisecond off anyway. */
const DUE_SLACK_MS = 0.3;

/** A process that was stopped for longer does not make up for it; a late timer does. */
const MOST_LAG_MS = 1_000;

/**
 * Runs sequences in steps, in real time, on one timer.
 *
 * A step is due a step time after the previous one was due, not after it was handled: lateness does
 * not add up, and an engine that fell behind catches up.
 */
export class Engine {
  readonly metrics = new EngineMetrics();
  readonly #options: EngineOptions;
  readonly #scheduler: Scheduler;
  readonly #active = new Set<Sequence>();
  #promptTokensInPrefill = 0;
  #ordinal = 0;
  #step: { readonly plan: StepPlan; readonly dueAtMs: number; readonly lengthMs: number } | null =
    null;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#scheduler = new Scheduler(options.limits);
  }

  /** Queue depth, cache usage and counters at this moment. */
  get state(): EngineState {
    return {
      running: this.#scheduler.runningCount,
      waiting: this.#scheduler.waitingCount,
      cacheUsage: this.#scheduler.pool.usage,
      scheduler: this.#scheduler.counts,
    };
  }

  /** Say why `count` more sequences cannot be taken, counting the refusal; `null` if they can. */
  findRefusal(count: number): RejectionReason | null {
    const { maxNumQueuedReqs, maxNumQueuedTokens } = this.#options;
    let reason: RejectionReason | null = null;
    if (this.#active.size + count > maxNumQueuedReqs) reason = "queued_reqs";
    else if (this.#promptTokensInPrefill >= maxNumQueuedTokens) reason = "queued_tokens";
    if (reason !== null) this.metrics.rejections[reason] += 1;
    return reason;
  }

  /** Queue a sequence that arrived at `arrivedAtMs`; its sink hears of every token. */
  submit(options: SequenceOptions, arrivedAtMs: number): Sequence {
    const sequence = new Sequence(options, this.#ordinal++, arrivedAtMs);
    this.#active.add(sequence);
    this.#promptTokensInPrefill += options.promptIds.length;
    this.metrics.started += 1;
    this.#scheduler.add(sequence);
    if (this.#step === null) this.#planFrom(performance.now());
    return sequence;
  }

  /** Stop a sequence at once; one that has ended stays ended. */
  abort(sequence: Sequence): void {
    if (sequence.state !== "ended") this.#end(sequence, "abort");
  }

  /** Abort everything and stop the timer. */
  close(): void {
    for (const sequence of this.#active) this.abort(sequence);
    this.#disarm();
    this.#step = null;
  }

  #planFrom(startMs: number): void {
    this.#disarm();
    const plan = this.#scheduler.plan(startMs);
    if (plan.sequences.length > 0) {
      const lengthMs = stepMs(this.#options.times, plan.load);
      this.#step = { plan, dueAtMs: startMs + lengthMs, lengthMs };
      this.#arm(this.#step.dueAtMs);
    } else {
      this.#step = null;
      if (plan.wakeAtMs !== null) this.#arm(plan.wakeAtMs);
    }
  }

  #arm(atMs: number): void {
    const waitMs = atMs - performance.now();
    const wake = (): void => this.#wake(atMs);
    if (waitMs > DUE_SLACK_MS) this.#timer = setTimeout(wake, waitMs);
    else this.#immediate = setImmediate(wake);
  }

  #disarm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    this.#timer = null;
    this.#immediate = null;
  }

  #wake(atMs: number): void {
    const nowMs = performance.now();
    if (nowMs < atMs - DUE_SLACK_MS) {
      this.#arm(atMs);
      return;
    }
    if (this.#step !== null) {
      for (const sequence of this.#step.plan.sequences) this.#produce(sequence, nowMs);
    }
    this.#planFrom(Math.max(atMs, nowMs - MOST_LAG_MS));
  }

  /** End a sequence's part of the step: a chunk of its prompt read, or one more token. */
  #produce(sequence: Sequence, nowMs: number): void {
    // An abort or a preemption since the step was planned took its part out of it.
    if (sequence.state !== "running" || sequence.scheduledTokens === 0) return;
    this.#scheduler.computed(sequence);
    if (sequence.computedTokens < sequence.length) return;
    if (sequence.options.maxTokens === 0) this.#end(sequence, "stop");
    else this.#emit(sequence, nowMs);
  }

  #emit(sequence: Sequence, nowMs: number): void {
    const { ignoreEos, minTokens, sink } = sequence.options;
    const mayEnd = !ignoreEos && sequence.outputIds.length >= minTokens;
    const id = sequence.next(mayEnd);
    this.#recordToken(sequence, nowMs);
    sequence.outputIds.push(id);
    const reason = this.#findFinish(sequence, id);
    const stopped = sink.token(sequence, id, reason);
    sequence.prose.advance(id);
    if (stopped) this.#end(sequence, "stop");
    else if (reason !== null) this.#end(sequence, reason);
    else this.#pause(sequence);
  }

  #recordToken(sequence: Sequence, nowMs: number): void {
    this.metrics.generationTokens += 1;
    if (sequence.lastTokenAtMs === null) {
      sequence.firstTokenAtMs = nowMs;
      this.#promptTokensInPrefill -= sequence.options.promptIds.length;
      this.metrics.promptTokens += sequence.options.promptIds.length;
      this.metrics.firstToken.observe((nowMs - sequence.arrivedAtMs) / 1000);
    } else {
      this.metrics.interToken.observe((nowMs - sequence.lastTokenAtMs) / 1000);
    }
    sequence.lastTokenAtMs = nowMs;
  }

  #findFinish(sequence: Sequence, id: number): FinishReason | null {
    const { maxTokens, minTokens, stopTokenIds } = sequence.options;
    const count = sequence.outputIds.length;
    if (id === SPECIAL.end) return "stop";
    if (count > minTokens && stopTokenIds.includes(id)) return "stop";
    return count >= maxTokens || sequence.length >= this.#options.maxModelLen ? "length" : null;
  }

  #pause(sequence: Sequence): void {
    if (this.#step === null) return;
    const { stall, slowFactor } = sequence.options;
    const { dueAtMs, lengthMs } = this.#step;
    if (stall?.afterTokens === sequence.outputIds.length) {
      sequence.pausedUntilMs = dueAtMs + stall.milliseconds;
    } else if (slowFactor !== undefined) {
      sequence.pausedUntilMs = dueAtMs + (slowFactor - 1) * lengthMs - DUE_SLACK_MS;
    }
  }

  #end(sequence: Sequence, reason: FinishReason): void {
    const nowMs = performance.now();
    if (sequence.firstTokenAtMs === null) {
      this.#promptTokensInPrefill -= sequence.options.promptIds.length;
      if (reason !== "abort") this.metrics.promptTokens += sequence.options.promptIds.length;
    }
    this.#scheduler.remove(sequence);
    this.#active.delete(sequence);
    this.metrics.recordEnd(sequence, reason, nowMs);
    if (reason !== "abort") sequence.options.sink.finished(sequence, reason);
  }
}
