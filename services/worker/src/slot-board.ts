import type { InFlightWindow } from "@headrace/engine";

/**
 * Counts the jobs in flight against the window, and tells the puller when there is room.
 *
 * One waiter at a time: the intake's puller.
 */
export class SlotBoard {
  readonly #window: InFlightWindow;
  #inFlight = 0;
  /** Called once the job that the board is reserved for is the only one left. */
  #onAlone: (() => void) | null = null;
  #isReserved = false;
  #waiter: ((free: number) => void) | null = null;
  #pause: NodeJS.Timeout | null = null;

  constructor(window: InFlightWindow) {
    this.#window = window;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** How many slots there are. */
  get size(): number {
    return this.#window.size;
  }

  /** A job is in a slot. */
  take(): void {
    this.#inFlight += 1;
  }

  /** A job left its slot. */
  free(): void {
    this.#inFlight -= 1;
    if (this.#inFlight <= 1) this.#onAlone?.();
    this.check();
  }

  /** Whether all slots are kept for one job, beside which no other may start. */
  get isReserved(): boolean {
    return this.#isReserved;
  }

  /** Keep all slots for the job that has just taken one, until `endReservation`. */
  reserve(): void {
    this.#isReserved = true;
  }

  endReservation(): void {
    this.#isReserved = false;
    this.check();
  }

  /** Resolve once the job with the reservation is the only one, or the signal is aborted. */
  async whenAlone(signal: AbortSignal): Promise<void> {
    if (this.#inFlight <= 1 || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onAlone = resolve;
    const stop = (): void => resolve();
    signal.addEventListener("abort", stop, { once: true });
    await promise;
    signal.removeEventListener("abort", stop);
    this.#onAlone = null;
  }

  /** How many slots are free now: none while the engine is left alone, or kept for one job. */
  countFree(): number {
    const isPaused = this.#isReserved || this.#window.pausedUntilMs > performance.now();
    return isPaused ? 0 : Math.max(0, this.#window.size - this.#inFlight);
  }

  /** Resolve with how many slots are free as soon as any is; with 0 when the signal is aborted. */
  async whenFree(signal: AbortSignal): Promise<number> {
    if (signal.aborted) return 0;
    const { promise, resolve } = Promise.withResolvers<number>();
    const stop = (): void => resolve(0);
    signal.addEventListener("abort", stop, { once: true });
    this.#waiter = resolve;
    this.check();
    try {
      return await promise;
    } finally {
      this.#waiter = null;
      if (this.#pause !== null) clearTimeout(this.#pause);
      this.#pause = null;
      signal.removeEventListener("abort", stop);
    }
  }

  /** The window may have changed: tell the waiter if there is room now. */
  check(): void {
    if (this.#waiter === null || this.#isReserved) return;
    const free = this.#window.size - this.#inFlight;
    if (free <= 0) return;
    const pausedMs = this.#window.pausedUntilMs - performance.now();
    if (pausedMs <= 0) return this.#waiter(free);
    this.#pause ??= setTimeout(() => {
      this.#pause = null;
      this.check();
    }, pausedMs);
  }
}
