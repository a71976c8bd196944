/** A step may take this many times as long as the shortest, for batch work to go on starting. */
const SLOWEST = 1.25;
/** Looks that must have been this quick before it is taken for the engine's best: one may be wrong. */
const EVIDENCE = 5;
const FIRST_SIZE = 32;
/** Batch work is never kept below this many jobs in flight, whatever was measured. */
const LEAST_SIZE = 16;
const GROWTH = 1 / 8;
/** Looks without a measurement after which batch work pauses for one, to have the engine measured. */
const PATIENCE = 6;

/**
 * How many jobs may be in flight for batch work to be added, while others use the engine: up to where
 * adding more makes every step longer.
 *
 * A GPU reads its weights once a step, however many sequences share the step; up to some number more
 * of them cost nearly nothing, and beyond it each one costs all of them time. Below that number batch
 * work is free, above it others pay for it, and it gains little. The number depends on the model, the
 * GPU and how long the sequences are, so it is looked for:
 *
 * - steps longer than 1.25 times the shortest shrink the limit in proportion;
 * - others let it grow by an eighth, as long as it is used;
 * - where no step could be measured for three seconds because there is always some prompt being read,
 *   batch work pauses, for a look at the most. If there is still none, the engine is bound by reading
 *   prompts, which the steps do not tell of: then it grows as well.
 */
export class BatchLimit {
  #size = FIRST_SIZE;
  /** The lengths of the shortest looks, shortest first, ms. */
  #shortest: number[] = [];
  #looksWithout = 0;
  #wasReached = false;

  /** Jobs in flight, of all classes, from which on no batch work is added. */
  get size(): number {
    return this.#size;
  }

  /** Whether batch work pauses, to have the engine measured. */
  get isPausing(): boolean {
    return this.#looksWithout >= PATIENCE;
  }

  /** Batch work was kept back for this limit alone: it is in use, and may grow. */
  reach(): void {
    this.#wasReached = true;
  }

  /**
   * Take a look, twice a second.
   *
   * @param stepMs how long the engine's steps took, without those that read prompts; null when there
   *   were no others
   */
  onLook(stepMs: number | null, inFlight: number): void {
    const isUsed = this.#wasReached;
    this.#wasReached = false;
    if (stepMs === null) return this.#missMeasurement(isUsed);
    this.#looksWithout = 0;
    this.#shortest = [...this.#shortest, stepMs].toSorted((one, other) => one - other);
    this.#shortest.splice(EVIDENCE);
    const allowedMs = SLOWEST * (this.#shortest[EVIDENCE - 1] ?? Number.POSITIVE_INFINITY);
    if (stepMs <= allowedMs) {
      if (isUsed) this.#grow();
      return;
    }
    const proportional = Math.floor((inFlight * allowedMs) / stepMs);
    this.#size = Math.max(LEAST_SIZE, Math.min(this.#size, proportional));
  }

  #missMeasurement(isUsed: boolean): void {
    if (this.isPausing) {
      this.#looksWithout = 0;
      this.#grow();
    } else {
      this.#looksWithout = isUsed ? this.#looksWithout + 1 : 0;
    }
  }

  #grow(): void {
    this.#size += Math.ceil(this.#size * GROWTH);
  }
}
