const FIRST_BYTES = 65_536;

/** Bytes gathered up to a limit, in memory that grows with them and is used again. */
export class PartBuffer {
  #memory: Buffer = Buffer.alloc(0);
  #sizeBytes = 0;
  #limitBytes: number;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get isFull(): boolean {
    return this.#sizeBytes === this.#limitBytes;
  }

  /** What was gathered: a view, good until it is emptied. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#sizeBytes);
  }

  /** @returns what did not fit */
  add(chunk: Uint8Array): Uint8Array {
    const taken = chunk.subarray(0, this.#limitBytes - this.#sizeBytes);
    this.#grow(this.#sizeBytes + taken.length);
    this.#memory.set(taken, this.#sizeBytes);
    this.#sizeBytes += taken.length;
    return chunk.subarray(taken.length);
  }

  empty(limitBytes: number): void {
    this.#sizeBytes = 0;
    this.#limitBytes = limitBytes;
  }

  #grow(neededBytes: number): void {
    if (neededBytes <= this.#memory.length) return;
    const doubled = Math.max(FIRST_BYTES, neededBytes, 2 * this.#memory.length);
    const memory = Buffer.allocUnsafeSlow(Math.min(this.#limitBytes, doubled));
    this.#memory.copy(memory, 0, 0, this.#sizeBytes);
    this.#memory = memory;
  }
}
