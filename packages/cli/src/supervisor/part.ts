import { setTimeout as sleep } from "node:timers/promises";

import { CommandFailure, tellsOfFullDisk } from "../failure.ts";
import { Child, type Program } from "./child.ts";
import { describeAnswer, describeLogLine } from "./log-line.ts";
import { RestartPolicy } from "./restart-policy.ts";

/** A process of the platform: what runs, and when it counts as ready. */
export interface PartPlan {
  /** Names its log, too. */
  readonly name: string;
  readonly program: Program;
  /** A line it writes, or a URL that answers 200. */
  readonly readiness: { readonly line: RegExp } | { readonly url: string };
  /** How long it may take to get ready, ms. */
  readonly readyMs: number;
  /** What to try when it does not get ready. */
  readonly advice?: string;
  /** What it says where the advice fits; without this the advice always does. */
  readonly adviceFits?: RegExp;
}

/** Told what becomes of a part. */
export interface PartHooks {
  readonly onStart: (pid: number) => void;
  readonly onReady: () => void;
  /** It takes its time, and says why. */
  readonly onSlow: (why: string) => void;
  readonly onLine: (line: string) => void;
  /** It ended unasked and comes back. */
  readonly onRestart: (how: string) => void;
  /** It ended once too often. */
  readonly onFailure: (failure: CommandFailure) => void;
}

/** How often a URL is asked whether a part is ready, ms. */
const LOOK_MS = 30;
const ANSWER_MS = 2_000;
/** A start that takes longer is worth a word, ms. */
const SLOW_MS = 4_000;

/**
 * Keeps one process of the platform running.
 *
 * A process that ends before it was ready first is a failure, since starting it again would show
 * the same. Once ready, it is started again whenever it ends, until `RestartPolicy` has enough.
 */
export class Part {
  readonly #plan: PartPlan;
  readonly #hooks: PartHooks;
  readonly #policy = new RestartPolicy();
  readonly #stopping = new AbortController();
  readonly #lineReady = Promise.withResolvers<void>();
  #child: Child | null = null;
  #keeping: Promise<void> = Promise.resolve();
  /** The last answer of a part that was not ready. */
  #objection = "";

  constructor(plan: PartPlan, hooks: PartHooks) {
    this.#plan = plan;
    this.#hooks = hooks;
  }

  /** Start it, and resolve once it is ready. @throws CommandFailure with its last words */
  async start(signal: AbortSignal): Promise<void> {
    // The start of another part has failed, and all are being stopped.
    this.#stopping.signal.throwIfAborted();
    const child = this.#spawn();
    const settled = new AbortController();
    const slow = setTimeout(() => this.#hooks.onSlow(this.#objection), SLOW_MS);
    const limit = AbortSignal.any([signal, settled.signal, this.#stopping.signal]);
    try {
      const how = await Promise.race([
        this.#becomeReady(limit).then(() => null),
        child.ended,
        sleep(this.#plan.readyMs, undefined, { signal: limit }).then(
          () => `was not ready within ${this.#plan.readyMs / 1_000} s`,
        ),
      ]);
      if (how !== null) throw this.#toFailure(child, how, this.#describeUnready());
    } finally {
      clearTimeout(slow);
      settled.abort();
    }
    this.#keeping = this.#keep(child);
    this.#hooks.onReady();
  }

  /** Stop it for good. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#child?.stop();
    await this.#keeping;
  }

  /** End it at once. */
  kill(): void {
    this.#stopping.abort();
    this.#child?.kill();
  }

  #spawn(): Child {
    const child = new Child(this.#plan.program, this.#takeLine);
    this.#child = child;
    if (child.pid !== undefined) this.#hooks.onStart(child.pid);
    return child;
  }

  readonly #takeLine = (line: string): void => {
    const { readiness } = this.#plan;
    if ("line" in readiness && readiness.line.test(line)) this.#lineReady.resolve();
    this.#hooks.onLine(line);
  };

  async #becomeReady(signal: AbortSignal): Promise<void> {
    const { readiness } = this.#plan;
    if ("line" in readiness) return this.#lineReady.promise;
    while (!(await this.#isReady(readiness.url, signal))) {
      await sleep(LOOK_MS, undefined, { signal });
    }
  }

  async #isReady(url: string, signal: AbortSignal): Promise<boolean> {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
      const response = await fetch(url, { signal: limit });
      this.#objection = describeAnswer(await response.text());
      return response.ok;
    } catch {
      return false;
    }
  }

  /** Start it again whenever it ends. */
  async #keep(first: Child): Promise<void> {
    let child = first;
    for (;;) {
      const how = await child.ended;
      if (this.#stopping.signal.aborted) return;
      const pauseMs = this.#policy.next();
      if (pauseMs === null) {
        this.#hooks.onFailure(this.#toFailure(child, `${how}, again and again`));
        return;
      }
      this.#hooks.onRestart(how);
      await sleep(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (this.#stopping.signal.aborted) return;
      child = this.#spawn();
    }
  }

  #describeUnready(): string[] {
    const { advice, adviceFits } = this.#plan;
    const isFit = adviceFits?.test(this.#objection) ?? true;
    return [
      ...(this.#objection === "" ? [] : [`It says: ${this.#objection}`]),
      ...(advice === undefined || !isFit ? [] : [advice]),
    ];
  }

  #toFailure(child: Child, how: string, advice: readonly string[] = []): CommandFailure {
    const isDiskFull = child.lastLines.some(tellsOfFullDisk);
    return new CommandFailure(
      [
        `${this.#plan.name} ${how}.`,
        // A process that tries again and again says the same again and again.
        ...new Set(child.lastLines.map((line) => `  ${describeLogLine(line)}`)),
        ...(isDiskFull ? ["The disk is full. Free some space and start again."] : advice),
      ].join("\n"),
    );
  }
}
