import { BLOCK_TOKENS, BlockPool } from "./block-pool.ts";
import type { StepLoad } from "./profile.ts";
import type { Sequence } from "./sequence.ts";
import { WaitingLine } from "./waiting-line.ts";

/** What bounds a step. */
export interface SchedulerLimits {
  /** Most sequences running at once. */
  readonly maxNumSeqs: number;
  /** Most tokens computed in a step. */
  readonly maxNumBatchedTokens: number;
  readonly kvBlocks: number;
}

/** What the next step computes. */
export interface StepPlan {
  readonly sequences: readonly Sequence[];
  readonly load: StepLoad;
  /** When the first paused sequence may go on, if nothing can be computed before; else `null`. */
  readonly wakeAtMs: number | null;
}

/** What the scheduler counted since the start. */
export interface SchedulerCounts {
  preemptions: number;
  prefixQueries: number;
  prefixHits: number;
}

/**
 * Decides what each step computes, as vLLM's V1 scheduler does.
 *
 * A step spends its token budget on running sequences first, each on the tokens it lacks (one when
 * decoding, a chunk of the prompt otherwise), then admits waiting ones while slots, budget and KV
 * blocks last. When a running sequence finds no block, the youngest (or the least urgent) gives all
 * of its blocks back and starts again from its first token. No clock, no I/O.
 */
export class Scheduler {
  readonly counts: SchedulerCounts = { preemptions: 0, prefixQueries: 0, prefixHits: 0 };
  readonly pool: BlockPool;
  readonly #limits: SchedulerLimits;
  readonly #waiting = new WaitingLine();
  /** In order of admission. */
  readonly #running: Sequence[] = [];

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
    this.pool = new BlockPool(limits.kvBlocks);
  }

  get runningCount(): number {
    return this.#running.length;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Queue a sequence. */
  add(sequence: Sequence): void {
    this.#waiting.add(sequence);
  }

  /** Take a sequence out, wherever it is, and free its blocks at once. */
  remove(sequence: Sequence): void {
    if (sequence.state === "waiting") this.#waiting.remove(sequence);
    if (sequence.state === "running") this.#running.splice(this.#running.indexOf(sequence), 1);
    sequence.state = "ended";
    this.#freeBlocks(sequence);
  }

  /** Decide the step that starts at `nowMs` and reserve the blocks it fills. */
  plan(nowMs: number): StepPlan {
    const preemptionsBefore = this.counts.preemptions;
    let budget = this.#scheduleRunning(nowMs);
    while (budget > 0 && this.counts.preemptions === preemptionsBefore) {
      const spent = this.#admitNext(nowMs, budget);
      if (spent === null) break;
      budget -= spent;
    }
    return this.#planned(nowMs);
  }

  /** Record that a sequence's part of the step is computed; publish the blocks it filled. */
  computed(sequence: Sequence): void {
    const fullBefore = Math.floor(sequence.computedTokens / BLOCK_TOKENS);
    sequence.computedTokens += sequence.scheduledTokens;
    sequence.scheduledTokens = 0;
    const fullAfter = Math.floor(sequence.computedTokens / BLOCK_TOKENS);
    for (let index = fullBefore; index < fullAfter; index++) {
      const block = sequence.blocks[index];
      if (block !== undefined) this.pool.publish(block, sequence.blockHash(index));
    }
  }

  #scheduleRunning(nowMs: number): number {
    let budget = this.#limits.maxNumBatchedTokens;
    for (const sequence of this.#running) sequence.scheduledTokens = 0;
    // Over a copy, since making room takes sequences out.
    for (const sequence of this.#running.slice()) {
      if (budget === 0) break;
      if (sequence.state !== "running" || sequence.pausedUntilMs > nowMs) continue;
      const tokens = Math.min(sequence.length - sequence.computedTokens, budget);
      if (!this.#makeRoom(sequence, sequence.computedTokens + tokens)) continue;
      sequence.scheduledTokens = tokens;
      budget -= tokens;
    }
    return budget;
  }

  /** Reserve blocks for the first `tokens` tokens, at the cost of others; false if at its own. */
  #makeRoom(sequence: Sequence, tokens: number): boolean {
    while (!this.#reserve(sequence, tokens)) {
      const victim = this.#running.reduce(lessUrgent);
      this.#preempt(victim);
      if (victim === sequence) return false;
    }
    return true;
  }

  #reserve(sequence: Sequence, tokens: number): boolean {
    const missing = Math.ceil(tokens / BLOCK_TOKENS) - sequence.blocks.length;
    return missing <= 0 || this.pool.take(missing, sequence.blocks);
  }

  #preempt(sequence: Sequence): void {
    this.#running.splice(this.#running.indexOf(sequence), 1);
    sequence.state = "waiting";
    sequence.scheduledTokens = 0;
    sequence.computedTokens = 0;
    this.#freeBlocks(sequence);
    this.#waiting.putBack(sequence);
    this.counts.preemptions += 1;
  }

  /** Start the first waiting sequence; gives the tokens spent on it, `null` if there is no room. */
  #admitNext(nowMs: number, budget: number): number | null {
    const sequence = this.#waiting.peek();
    if (sequence === undefined || this.#running.length >= this.#limits.maxNumSeqs) return null;

    // The last token is computed even on a full hit: its output is what is asked for.
    const hashes = sequence.blockHashes(Math.floor((sequence.length - 1) / BLOCK_TOKENS));
    sequence.blocks = this.pool.holdPrefix(hashes);
    const hits = sequence.blocks.length * BLOCK_TOKENS;
    const tokens = Math.min(sequence.length - hits, budget);
    if (!this.#reserve(sequence, hits + tokens)) {
      this.#freeBlocks(sequence);
      return null;
    }
    this.counts.prefixQueries += sequence.length;
    this.counts.prefixHits += hits;
    this.#start(sequence, nowMs);
    sequence.computedTokens = hits;
    sequence.scheduledTokens = sequence.pausedUntilMs > nowMs ? 0 : tokens;
    return sequence.scheduledTokens;
  }

  #start(sequence: Sequence, nowMs: number): void {
    this.#waiting.remove(sequence);
    this.#running.push(sequence);
    sequence.state = "running";
    if (sequence.scheduledAtMs !== null) return;
    // A step that began late is dated when it was due, which can be before the request came.
    sequence.scheduledAtMs = Math.max(nowMs, sequence.arrivedAtMs);
    const { stall } = sequence.options;
    if (stall?.afterTokens === 0) sequence.pausedUntilMs = nowMs + stall.milliseconds;
  }

  #planned(nowMs: number): StepPlan {
    const load = { prefillTokens: 0, decodes: 0, contextTokens: 0 };
    const sequences = this.#running.filter((sequence) => sequence.scheduledTokens > 0);
    for (const sequence of sequences) {
      if (sequence.isDecoding) {
        load.decodes += 1;
        load.contextTokens += sequence.length;
      } else {
        load.prefillTokens += sequence.scheduledTokens;
      }
    }
    if (sequences.length > 0) return { sequences, load, wakeAtMs: null };
    const pauses = this.#running.map((sequence) => Math.max(sequence.pausedUntilMs, nowMs));
    return { sequences, load, wakeAtMs: pauses.length === 0 ? null : Math.min(...pauses) };
  }

  #freeBlocks(sequence: Sequence): void {
    this.pool.release(sequence.blocks);
    sequence.blocks = [];
  }
}

function lessUrgent(one: Sequence, other: Sequence): Sequence {
  const difference = one.options.priority - other.options.priority;
  if (difference !== 0) return difference > 0 ? one : other;
  return one.ordinal > other.ordinal ? one : other;
}
