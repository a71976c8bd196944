/** The past that a pace is taken from: long enough for lines that come in bursts. */
const SPAN_MS = 60_000;
/** A pace says nothing before. */
const SHORTEST_SPAN_MS = 1_000;
const MS_PER_SECOND = 1_000;

interface Sample {
  readonly atMs: number;
  readonly lines: number;
  readonly tokens: number;
}

/** How fast a batch gets on. */
export interface Rates {
  readonly linesPerSecond: number;
  readonly tokensPerSecond: number;
}

/** Measures how fast a batch has got on in the last minute. */
export class Pace {
  #samples: Sample[] = [];

  /** Note what is done by now, ms of a clock that only goes forward. */
  note(atMs: number, done: { readonly lines: number; readonly tokens: number }): void {
    const recent = this.#samples.filter((sample) => atMs - sample.atMs <= SPAN_MS);
    this.#samples = [...recent, { atMs, ...done }];
  }

  /** How much of the past is known, ms: a minute at the most. */
  get spanMs(): number {
    return (this.#samples.at(-1)?.atMs ?? 0) - (this.#samples[0]?.atMs ?? 0);
  }

  /** @returns null while too little is known */
  get rates(): Rates | null {
    const [first] = this.#samples;
    const last = this.#samples.at(-1);
    const { spanMs } = this;
    if (first === undefined || last === undefined || spanMs < SHORTEST_SPAN_MS) return null;
    const perSecond = MS_PER_SECOND / spanMs;
    return {
      linesPerSecond: (last.lines - first.lines) * perSecond,
      tokensPerSecond: (last.tokens - first.tokens) * perSecond,
    };
  }
}
