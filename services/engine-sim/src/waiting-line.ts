import type { Sequence } from "./sequence.ts";

/**
 * Sequences that wait for room: by priority, then in order of arrival, and those that had to give
 * their room back before the others of their priority.
 */
export class WaitingLine {
  /** By priority; a line that runs empty is dropped. */
  readonly #lines = new Map<number, Line>();
  #priorities: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The next to be served, which stays in the line. */
  peek(): Sequence | undefined {
    const first = this.#priorities[0];
    const line = first === undefined ? undefined : this.#lines.get(first);
    return line?.returned.at(-1) ?? line?.arrived.values().next().value;
  }

  add(sequence: Sequence): void {
    this.#line(sequence).arrived.add(sequence);
    this.#size += 1;
  }

  /** Put a sequence back that has been served already. */
  putBack(sequence: Sequence): void {
    this.#line(sequence).returned.push(sequence);
    this.#size += 1;
  }

  remove(sequence: Sequence): void {
    const line = this.#line(sequence);
    const returnedAt = line.returned.lastIndexOf(sequence);
    if (returnedAt >= 0) line.returned.splice(returnedAt, 1);
    else if (!line.arrived.delete(sequence)) return;
    this.#size -= 1;
    if (line.arrived.size + line.returned.length > 0) return;
    this.#lines.delete(sequence.options.priority);
    this.#priorities = this.#priorities.filter(
      (priority) => priority !== sequence.options.priority,
    );
  }

  #line(sequence: Sequence): Line {
    const { priority } = sequence.options;
    const existing = this.#lines.get(priority);
    if (existing !== undefined) return existing;
    const line = { arrived: new Set<Sequence>(), returned: [] };
    this.#lines.set(priority, line);
    this.#priorities = [...this.#priorities, priority].toSorted((one, other) => one - other);
    return line;
  }
}

interface Line {
  readonly arrived: Set<Sequence>;
  /** A stack: who gave its room back last is the eldest of them, and served first. */
  readonly returned: Sequence[];
}
