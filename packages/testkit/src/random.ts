/** 2^32 divided by the golden ratio: steps of it visit all 32-bit numbers, far from in order. */
const STEP = 0x9e3779b9;
const RANGE = 2 ** 32;

/**
 * A source of chance that gives the same draws for the same seed: what one run did, another can
 * repeat.
 *
 * splitmix32: a counter that steps by a constant, its bits mixed. Period 2^32, good enough to choose
 * whom to kill and when; not for secrets. Whoever draws at times that the machine decides takes a
 * `fork`, so that nobody's draws depend on when others draw.
 */
export class Random {
  readonly seed: number;
  #state: number;

  /** @param seed a whole number; what is beyond 32 bits is ignored */
  constructor(seed: number) {
    this.seed = seed >>> 0;
    this.#state = this.seed;
  }

  /** Draw from 0 up to, but not including, 1. */
  next(): number {
    this.#state = (this.#state + STEP) | 0;
    return mix(this.#state) / RANGE;
  }

  /** Draw a whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** Say yes in this share of the cases. */
  chance(share: number): boolean {
    return this.next() < share;
  }

  /** Draw one of the items. @throws RangeError when there are none */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.between(0, items.length - 1)];
    if (item === undefined) throw new RangeError("there is nothing to pick from");
    return item;
  }

  /** Make a source of its own for `purpose`: the same for the same seed and purpose. */
  fork(purpose: string): Random {
    let bits = this.seed;
    for (const byte of Buffer.from(purpose)) bits = mix((bits ^ byte) + STEP);
    return new Random(bits);
  }
}

function mix(number: number): number {
  let bits = number | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return (bits ^ (bits >>> 15)) >>> 0;
}
