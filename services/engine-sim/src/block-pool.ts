/** Tokens in a KV block, vLLM's default. */
export const BLOCK_TOKENS = 16;

/**
 * The KV cache as counted blocks, with vLLM's prefix cache over the blocks nobody uses.
 *
 * A block is free or held by one or more sequences. A full block keeps the hash of everything up to
 * its end; freed, it stays findable by that hash until the block is needed, least recently freed
 * first. All operations are O(1) a block.
 */
export class BlockPool {
  readonly total: number;
  readonly #holders: Int32Array;
  /** Hash each block is findable by; NaN when it is not. */
  readonly #hashes: Float64Array;
  readonly #byHash = new Map<number, number>();
  /** Free blocks as a ring through the sentinel `total`, the next to be reused first. */
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  #free: number;

  constructor(total: number) {
    this.total = total;
    this.#free = total;
    this.#holders = new Int32Array(total);
    this.#hashes = new Float64Array(total).fill(Number.NaN);
    this.#next = Int32Array.from({ length: total + 1 }, (_, block) => (block + 1) % (total + 1));
    this.#previous = Int32Array.from(
      { length: total + 1 },
      (_, block) => (block + total) % (total + 1),
    );
  }

  /** Blocks no sequence holds. */
  get free(): number {
    return this.#free;
  }

  /** Share of the blocks that sequences hold, 0 to 1. */
  get usage(): number {
    return 1 - this.#free / this.total;
  }

  /** Append `count` blocks to `blocks`, or change nothing and answer false when too few are free. */
  take(count: number, blocks: number[]): boolean {
    if (count > this.#free) return false;
    for (let taken = 0; taken < count; taken++) {
      const block = at(this.#next, this.total);
      this.#unlink(block);
      this.#forget(block);
      this.#holders[block] = 1;
      blocks.push(block);
    }
    return true;
  }

  /** Hold the blocks that already contain the longest prefix of `hashes`, and give them. */
  holdPrefix(hashes: readonly number[]): number[] {
    const blocks: number[] = [];
    for (const hash of hashes) {
      const block = this.#byHash.get(hash);
      if (block === undefined) break;
      if (at(this.#holders, block) === 0) this.#unlink(block);
      this.#holders[block] = at(this.#holders, block) + 1;
      blocks.push(block);
    }
    return blocks;
  }

  /** Make a full block findable; of two blocks with the same content the first stays. */
  publish(block: number, hash: number): void {
    if (this.#byHash.has(hash)) return;
    this.#forget(block);
    this.#hashes[block] = hash;
    this.#byHash.set(hash, block);
  }

  /** Let go of a sequence's blocks; their ends are reused before their beginnings. */
  release(blocks: readonly number[]): void {
    for (const block of blocks.toReversed()) {
      const holders = at(this.#holders, block) - 1;
      if (holders < 0) throw new Error(`KV block ${block} is released more often than held`);
      this.#holders[block] = holders;
      if (holders === 0) this.#append(block);
    }
  }

  #forget(block: number): void {
    const hash = this.#hashes[block] ?? Number.NaN;
    if (Number.isNaN(hash)) return;
    this.#byHash.delete(hash);
    this.#hashes[block] = Number.NaN;
  }

  #unlink(block: number): void {
    const next = at(this.#next, block);
    const previous = at(this.#previous, block);
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#free -= 1;
  }

  #append(block: number): void {
    const last = at(this.#previous, this.total);
    this.#next[last] = block;
    this.#previous[block] = last;
    this.#next[block] = this.total;
    this.#previous[this.total] = block;
    this.#free += 1;
  }
}

/**
 * Hash a block of ids onto the hash of everything before it.
 *
 * 53 bits, so that a false hit is out of reach for the number of blocks a test can make.
 */
export function hashBlock(before: number, ids: readonly number[]): number {
  let low = before | 0;
  let high = Math.floor(before / 2 ** 32) | 0;
  for (const id of ids) {
    low = Math.imul(low ^ id, 0x9e3779b1);
    low ^= low >>> 15;
    high = Math.imul(high ^ (id + 0x7f4a7c15), 0x85ebca6b);
    high ^= high >>> 13;
  }
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}

function at(values: Int32Array, index: number): number {
  const value = values[index];
  if (value === undefined) throw new Error(`KV block ${index} does not exist`);
  return value;
}
