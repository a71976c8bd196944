/**
 * Numbers that one attempt may use. An engine's output is bounded in bytes, and an event takes one at
 * the least, so that no attempt has as many; and epochs, which leap by 1,000 when Redis is
 * restarted, may reach 2²⁹ before a number is no longer exact.
 */
const PER_ATTEMPT = 2 ** 24;
/** The last numbers of each block are for what is told of a stream that is broken off. */
const BREAK_PLACE = PER_ATTEMPT - 2;

/**
 * Numbers a response's events: `(epoch − 1) · 2²⁴ + place`.
 *
 * Places count the events of an attempt, after those that every response begins with; so a job's one
 * attempt counts 0, 1, 2 … as OpenAI does. A later attempt begins a new block, so that a number tells
 * which attempt made its event, and a reader is not taken for one who has read what now stands there.
 *
 * @see docs/adr/013-numbering-a-responses-events.md
 */
export class SequenceNumbers {
  readonly #first: number;
  #epoch = 0;
  #place = 0;

  /** @param first place of the first event: how many come before any attempt's own */
  constructor(first: number) {
    this.#first = first;
  }

  /** Go on with the events of an attempt. A job that ended before any has epoch 0. */
  enter(epoch: number): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#place = 0;
  }

  /** What comes now is in nobody's log: its numbers are those of no other event. */
  breakOff(): void {
    this.#place = BREAK_PLACE - this.#first;
  }

  next(): number {
    const place = this.#first + this.#place;
    this.#place += 1;
    return Math.max(this.#epoch - 1, 0) * PER_ATTEMPT + place;
  }
}
