import { hash } from "node:crypto";

const FIRST_SLOTS = 1_024;
const EMPTY = -1;

/**
 * The `custom_id`s of a batch and their order, in some 30 bytes each, however long they are.
 *
 * Known by 64 bits of a digest: that two of a million have the same happens three times in a hundred
 * million files, and then one of them is taken for a repetition.
 */
export class CustomIds {
  #count = 0;
  #high = new Uint32Array(FIRST_SLOTS);
  #low = new Uint32Array(FIRST_SLOTS);
  #orders = new Int32Array(FIRST_SLOTS).fill(EMPTY);

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** Add one as the last. @returns the order of the same one when it is there already, from 0 */
  add(customId: string): number | null {
    const { slot, high, low } = this.#look(customId);
    const order = this.#orders[slot] ?? EMPTY;
    if (order !== EMPTY) return order;
    this.#put(slot, { high, low, order: this.#count });
    this.#count += 1;
    // Half of the slots stay empty, so that looking ends soon.
    if (this.#count * 2 > this.#orders.length) this.#grow();
    return null;
  }

  /** Which one it is, from 0; null when it was never added. */
  find(customId: string): number | null {
    const order = this.#orders[this.#look(customId).slot] ?? EMPTY;
    return order === EMPTY ? null : order;
  }

  /** The slot where it is, or where it belongs. */
  #look(customId: string): { readonly slot: number; readonly high: number; readonly low: number } {
    const digest = hash("sha1", customId, "buffer");
    const high = digest.readUInt32LE(0);
    const low = digest.readUInt32LE(4);
    return { slot: this.#slotOf(high, low), high, low };
  }

  #slotOf(high: number, low: number): number {
    const mask = this.#orders.length - 1;
    let slot = low & mask;
    while (this.#orders[slot] !== EMPTY && !this.#holds(slot, high, low)) slot = (slot + 1) & mask;
    return slot;
  }

  #holds(slot: number, high: number, low: number): boolean {
    return this.#high[slot] === high && this.#low[slot] === low;
  }

  #put(
    slot: number,
    entry: { readonly high: number; readonly low: number; readonly order: number },
  ): void {
    this.#high[slot] = entry.high;
    this.#low[slot] = entry.low;
    this.#orders[slot] = entry.order;
  }

  #grow(): void {
    const [highs, lows, orders] = [this.#high, this.#low, this.#orders];
    this.#high = new Uint32Array(orders.length * 2);
    this.#low = new Uint32Array(orders.length * 2);
    this.#orders = new Int32Array(orders.length * 2).fill(EMPTY);
    for (const [slot, order] of orders.entries()) {
      if (order === EMPTY) continue;
      const [high = 0, low = 0] = [highs[slot], lows[slot]];
      this.#put(this.#slotOf(high, low), { high, low, order });
    }
  }
}
