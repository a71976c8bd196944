import type { Input, InputLine } from "../input/input.ts";

/** A line that is to be submitted for the first time by this claim. */
export interface FedLine {
  readonly place: number;
  readonly input: InputLine;
}

/** Hands out the lines of an input in their order: first those that an earlier claim had under way. */
export class LineFeed {
  readonly #input: Input;
  #resumed: readonly number[];
  #next: number;

  constructor(input: Input, from: { readonly next: number; readonly open: readonly number[] }) {
    this.#input = input;
    this.#resumed = from.open;
    this.#next = from.next;
  }

  /** Place of the first line that was never handed out. */
  get next(): number {
    return this.#next;
  }

  /** Places before that of lines that an earlier claim had under way, and that are not handed out yet. */
  get resumed(): readonly number[] {
    return this.#resumed;
  }

  /** All lines. */
  get total(): number {
    return this.#input.size;
  }

  /** Lines that are still to be handed out. */
  get left(): number {
    return this.#resumed.length + this.#input.size - this.#next;
  }

  /** @yields the places of all lines that are still to be handed out */
  *placesLeft(): Generator<number, void> {
    yield* this.#resumed;
    for (let place = this.#next; place < this.#input.size; place += 1) yield place;
  }

  /**
   * Hand out the next lines, up to so many.
   *
   * @param accept is told of them in the same step in which they count as handed out
   */
  async take(most: number, accept: (lines: readonly FedLine[]) => void): Promise<void> {
    const resumed = this.#resumed.slice(0, most);
    const fresh = Math.min(most - resumed.length, this.#input.size - this.#next);
    const places = [...resumed, ...Array.from({ length: fresh }, (_, i) => this.#next + i)];
    const lines = await Promise.all(
      places.map(async (place) => ({ place, input: await this.#input.lineAt(place) })),
    );
    this.#resumed = this.#resumed.slice(resumed.length);
    this.#next += fresh;
    accept(lines);
  }
}
