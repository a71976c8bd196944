const FIRST_CAPACITY = 4_096;

/** Where a line is, and what of it is needed to check and to order a whole file. */
export interface IndexedLine {
  /** From 1, blank lines counted. */
  readonly number: number;
  readonly offset: number;
  readonly sizeBytes: number;
  /** 64 bits of a digest of its `custom_id`. */
  readonly idDigest: bigint;
  /** Digests of what its prompt begins with: of less and of more of it. @see orderByPrefix */
  readonly prefixes: readonly [number, number];
}

/**
 * The lines of a file, 32 bytes each: a file may have millions. Lines are counted from 0, without
 * blank ones.
 */
export class LineTable {
  #size = 0;
  #numbers = new Uint32Array(FIRST_CAPACITY);
  #offsets = new Float64Array(FIRST_CAPACITY);
  #sizes = new Uint32Array(FIRST_CAPACITY);
  #idDigests = new BigUint64Array(FIRST_CAPACITY);
  readonly #prefixes: [Uint32Array, Uint32Array] = [
    new Uint32Array(FIRST_CAPACITY),
    new Uint32Array(FIRST_CAPACITY),
  ];

  get size(): number {
    return this.#size;
  }

  add({ number, offset, sizeBytes, idDigest, prefixes }: IndexedLine): void {
    if (this.#size === this.#numbers.length) this.#grow();
    const at = this.#size;
    this.#numbers[at] = number;
    this.#offsets[at] = offset;
    this.#sizes[at] = sizeBytes;
    this.#idDigests[at] = idDigest;
    [this.#prefixes[0][at], this.#prefixes[1][at]] = prefixes;
    this.#size += 1;
  }

  /** Its number in the file. */
  numberOf(line: number): number {
    return this.#numbers[line] ?? 0;
  }

  /** Where its bytes are. */
  placeOf(line: number): { readonly offset: number; readonly sizeBytes: number } {
    return { offset: this.#offsets[line] ?? 0, sizeBytes: this.#sizes[line] ?? 0 };
  }

  /** The digests of what prompts begin with, by line: of less of it, or of more. */
  prefixesOf(extent: "short" | "long"): Uint32Array {
    return this.#prefixes[extent === "short" ? 0 : 1].subarray(0, this.#size);
  }

  /** Lines whose `custom_id` has a digest that another line's has too, in the file's order. */
  findRepeatedIds(): number[] {
    const digests = this.#idDigests.subarray(0, this.#size);
    const sorted = digests.toSorted();
    const repeated = new Set<bigint>();
    for (let i = 1; i < sorted.length && repeated.size < MOST_REPEATED; i += 1) {
      const digest = sorted[i];
      if (digest !== undefined && digest === sorted[i - 1]) repeated.add(digest);
    }
    if (repeated.size === 0) return [];
    const lines: number[] = [];
    for (let line = 0; line < this.#size && lines.length < MOST_LINES; line += 1) {
      if (repeated.has(digests[line] ?? 0n)) lines.push(line);
    }
    return lines;
  }

  #grow(): void {
    const capacity = this.#numbers.length * 2;
    this.#numbers = grown(new Uint32Array(capacity), this.#numbers);
    this.#offsets = grown(new Float64Array(capacity), this.#offsets);
    this.#sizes = grown(new Uint32Array(capacity), this.#sizes);
    const digests = new BigUint64Array(capacity);
    digests.set(this.#idDigests);
    this.#idDigests = digests;
    this.#prefixes[0] = grown(new Uint32Array(capacity), this.#prefixes[0]);
    this.#prefixes[1] = grown(new Uint32Array(capacity), this.#prefixes[1]);
  }
}

/** More than anybody is told of: whoever repeats so many ids repeats them all. */
const MOST_REPEATED = 1_000;
const MOST_LINES = 10_000;

function grown<Kind extends Uint32Array | Float64Array>(larger: Kind, values: Kind): Kind {
  larger.set(values);
  return larger;
}
