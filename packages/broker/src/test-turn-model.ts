import { QUEUE_CLASSES } from "./job-queue.ts";
import type { Wish } from "./test-line.ts";

/** Least share of what is started that a lower class gets: as `lua/include/turn.lua` has it. */
const SHARES: ReadonlyMap<number, number> = new Map([
  [2, 0.2],
  [3, 0.05],
]);
/** Digits of a class, and virtual time per unit of score. */
const BAND = 2 ** 32;
const SCALE = 2 ** 17;

interface Waiting {
  readonly job: string;
  readonly of: number;
  readonly start: number;
  readonly step: number;
  readonly cost: number;
  readonly lane: string;
}

/**
 * Start-time fair queueing in each class as the textbook has it, strict order between classes, and a
 * job of a lower class put first whenever its class is behind its share.
 */
export class TurnModel {
  readonly #waiting = new Map<string, Waiting>();
  readonly #lanes = new Map<string, number>();
  readonly #reached = new Map<number, number>();
  readonly #owed = new Map<number, number>();
  /** Job that was put first, by class. */
  readonly #first = new Map<number, string>();

  /** A job of that cost joins the line. */
  submit(job: string, wish: Required<Wish>, cost: number): void {
    const of = QUEUE_CLASSES[wish.priority];
    const lane = `${of} ${wish.tenant}`;
    const start = Math.max(this.#reached.get(of) ?? 1, this.#lanes.get(lane) ?? 1);
    const step = cost / wish.weight;
    this.#lanes.set(lane, start + step);
    this.#waiting.set(job, { job, of, start, step, cost, lane });
  }

  /** A job that waits leaves the line without having started. */
  cancel(job: string): void {
    const found = this.#waiting.get(job);
    if (found === undefined) return;
    this.#leave(found);
    this.#lanes.set(found.lane, Math.max((this.#lanes.get(found.lane) ?? 1) - found.step, 1));
  }

  /** @returns the job whose turn it is; null when none waits */
  start(): string | null {
    const next = this.#inOrder()[0];
    if (next === undefined) return null;
    this.#leave(next);
    this.#reached.set(next.of, Math.max(this.#reached.get(next.of) ?? 1, next.start));
    for (const [of, share] of SHARES) this.#owe(of, share, next);
    return next.job;
  }

  #owe(of: number, share: number, started: Waiting): void {
    const before = this.#owed.get(of) ?? 0;
    const { cost } = started;
    const owed =
      of === started.of ? Math.max(before - cost, -cost) : before + (cost * share) / (1 - share);
    const head = this.#inOrder().find(
      (waiting) => waiting.of === of && this.#first.get(of) !== waiting.job,
    );
    if (owed >= cost && head !== undefined && !this.#first.has(of)) this.#first.set(of, head.job);
    this.#owed.set(of, owed >= cost && head === undefined ? 0 : owed);
  }

  #leave(left: Waiting): void {
    this.#waiting.delete(left.job);
    if (this.#first.get(left.of) === left.job) this.#first.delete(left.of);
  }

  #inOrder(): Waiting[] {
    const scoreOf = ({ job, of, start }: Waiting): number =>
      this.#first.get(of) === job ? of : of * BAND + start / SCALE;
    return [...this.#waiting.values()].toSorted(
      (one, other) => scoreOf(one) - scoreOf(other) || (one.job < other.job ? -1 : 1),
    );
  }
}
