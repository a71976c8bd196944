import { BLOCK_TOKENS, hashBlock } from "./block-pool.ts";
import { proseAfter } from "./language.ts";
import type { Prose } from "./prose.ts";
import type { Script } from "./script.ts";
import { SPECIAL } from "./vocabulary.ts";

/** Why a sequence ended, in vLLM's words. */
export type FinishReason = "stop" | "length" | "abort";

/** Hears of a sequence's tokens; one choice of one response. */
export interface SequenceSink {
  /**
   * Take the next id, before the sequence's prose has read it.
   *
   * @returns whether a stop string has ended the text
   */
  token(sequence: Sequence, id: number, finish: FinishReason | null): boolean;
  /** The sequence ended and its times are final; not called for aborts. */
  finished(sequence: Sequence, reason: FinishReason): void;
}

/** What a sequence is to generate. */
export interface SequenceOptions {
  readonly promptIds: readonly number[];
  readonly seed: number;
  /** Most ids to generate; 0 reads the prompt only, as embeddings do. */
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly ignoreEos: boolean;
  readonly stopTokenIds: readonly number[];
  /** Lower is earlier. */
  readonly priority: number;
  readonly sink: SequenceSink;
  /** What is said before the prose, or in its place. */
  readonly script?: Script | undefined;
  /** A fault: no progress for a while after so many tokens. */
  readonly stall?: { readonly afterTokens: number; readonly milliseconds: number } | undefined;
  /** A fault: each token takes this many times as long. */
  readonly slowFactor?: number | undefined;
}

/** One run of the model over one prompt: what the scheduler schedules. */
export class Sequence {
  readonly options: SequenceOptions;
  readonly prose: Prose;
  readonly outputIds: number[] = [];
  readonly arrivedAtMs: number;
  /** Place in the order of arrival, unique. */
  readonly ordinal: number;
  scheduledAtMs: number | null = null;
  firstTokenAtMs: number | null = null;
  lastTokenAtMs: number | null = null;
  state: "waiting" | "running" | "ended" = "waiting";
  /** Tokens of prompt and output whose KV entries exist. */
  computedTokens = 0;
  /** Tokens the step in progress computes. */
  scheduledTokens = 0;
  /** KV blocks held, in order. */
  blocks: number[] = [];
  /** No progress before this instant. */
  pausedUntilMs = 0;
  readonly #hashes: number[] = [];

  constructor(options: SequenceOptions, ordinal: number, arrivedAtMs: number) {
    this.options = options;
    this.ordinal = ordinal;
    this.arrivedAtMs = arrivedAtMs;
    this.prose = proseAfter(options.promptIds, options.seed);
  }

  /** Tell the next id; `mayEnd` false asks for what comes in place of the end of prose. */
  next(mayEnd: boolean): number {
    const { script } = this.options;
    if (script === undefined) return this.prose.next(mayEnd);
    const at = this.outputIds.length;
    if (at < script.ids.length) return script.ids[at] ?? SPECIAL.end;
    return script.isWhole ? SPECIAL.end : this.prose.next(mayEnd);
  }

  /** Tokens of prompt and output. */
  get length(): number {
    return this.options.promptIds.length + this.outputIds.length;
  }

  /** Whether the step in progress adds a token to output rather than reading a prompt. */
  get isDecoding(): boolean {
    return this.outputIds.length > 0 && this.length - this.computedTokens === 1;
  }

  /** Hashes of the first `count` full blocks, each covering all tokens up to its end. */
  blockHashes(count: number): readonly number[] {
    for (let block = this.#hashes.length; block < count; block++) {
      const before = this.#hashes[block - 1] ?? 0;
      this.#hashes.push(hashBlock(before, this.#ids(block * BLOCK_TOKENS)));
    }
    return this.#hashes.length === count ? this.#hashes : this.#hashes.slice(0, count);
  }

  /** The hash of one full block. */
  blockHash(block: number): number {
    return this.blockHashes(Math.max(block + 1, this.#hashes.length))[block] ?? 0;
  }

  #ids(from: number): number[] {
    const { promptIds } = this.options;
    const to = from + BLOCK_TOKENS;
    if (to <= promptIds.length) return promptIds.slice(from, to);
    const output = this.outputIds.slice(
      Math.max(0, from - promptIds.length),
      to - promptIds.length,
    );
    return [...promptIds.slice(from, to), ...output];
  }
}
