import type { EngineState } from "@headrace/broker";
import { EngineError, type EngineTraits } from "@headrace/engine";

/** What is known of the engine from asking it: since when it has been silent, and what came instead. */
export class EngineHealth {
  readonly #traits: EngineTraits;
  readonly #now: () => number;
  #answeredAtMs: number;
  #error: string | null = null;

  /** The engine has just answered with its traits. `now` is a monotonic clock, ms. */
  constructor(traits: EngineTraits, now: () => number = () => performance.now()) {
    this.#traits = traits;
    this.#now = now;
    this.#answeredAtMs = now();
  }

  answered(): void {
    this.#answeredAtMs = this.#now();
    this.#error = null;
  }

  failed(error: unknown): void {
    // An engine's own words can quote a prompt.
    if (error instanceof EngineError) this.#error = error.logMessage;
    else this.#error = error instanceof Error ? error.message : String(error);
  }

  /** How the engine is now. */
  get state(): EngineState {
    const { kind, version } = this.#traits;
    const silentMs = this.#error === null ? 0 : this.#now() - this.#answeredAtMs;
    return { kind, version, silentMs, error: this.#error };
  }
}
