/** Steps that make one sample, so that a chunk that is read a little late does not matter much. */
const STEPS_PER_SAMPLE = 3;

/**
 * Measures how long an engine's steps take while it reads no prompt: by the chunks of one stream at a
 * time, since each step brings every stream one token or more.
 *
 * Holds no clock: every instant comes in, in milliseconds of one monotonic clock.
 */
export class DecodePace {
  #pacer: object | null = null;
  #reading = 0;
  #beats: number[] = [];
  #samples: number[] = [];

  /** A prompt is sent to the engine. */
  startReading(): void {
    this.#reading += 1;
    this.#beats = [];
  }

  /** The engine has read a prompt, or will not. */
  endReading(): void {
    this.#reading -= 1;
    this.#beats = [];
  }

  /** A stream has brought a chunk. */
  beat(stream: object, nowMs: number): void {
    this.#pacer ??= stream;
    if (this.#pacer !== stream || this.#reading > 0) return;
    this.#beats.push(nowMs);
    const [first = nowMs] = this.#beats;
    if (this.#beats.length <= STEPS_PER_SAMPLE) return;
    this.#samples.push((nowMs - first) / STEPS_PER_SAMPLE);
    this.#beats = [nowMs];
  }

  /** A stream has ended. */
  leave(stream: object): void {
    if (this.#pacer !== stream) return;
    this.#pacer = null;
    this.#beats = [];
  }

  /** Whether there is something to take. */
  get isMeasured(): boolean {
    return this.#samples.length > 0;
  }

  /** Take the length of a step since the last take, ms; null when none could be measured. */
  take(): number | null {
    const sorted = this.#samples.toSorted((one, other) => one - other);
    this.#samples = [];
    return sorted[Math.floor(sorted.length / 2)] ?? null;
  }
}
