import type { Random } from "@headrace/testkit/instruments";

/** One fault of a run's plan. */
export interface PlannedFault<Kind extends string> {
  readonly kind: Kind;
  /** It comes once so many jobs have been accepted: a slow machine meets the same run. */
  readonly afterJobs: number;
  /** Whom it strikes: a rank among those it can strike. */
  readonly rank: number;
  /** How hard, from 0 to 1; what that means is the fault's own. */
  readonly force: number;
}

/** Faults begin once the platform is busy, and end early enough for all to strike jobs. */
const FIRST_SHARE = 0.03;
const LAST_SHARE = 0.95;
const RANKS = 1_000;

/** Draw when each of so many faults of each kind strikes, in order of time. */
export function planFaults<Kind extends string>(
  random: Random,
  jobs: number,
  counts: Readonly<Record<Kind, number>>,
): PlannedFault<Kind>[] {
  const span = LAST_SHARE - FIRST_SHARE;
  const kinds = kindsOf(counts);
  return kinds
    .map((kind): PlannedFault<Kind> => {
      const share = FIRST_SHARE + random.next() * span;
      const rank = random.between(0, RANKS);
      return { kind, afterJobs: Math.floor(jobs * share), rank, force: random.next() };
    })
    .toSorted((one, other) => one.afterJobs - other.afterJobs);
}

/** Carry a plan out, each fault once its time has come and the one before it has been inflicted. */
export async function carryOut<Kind extends string>(
  plan: readonly PlannedFault<Kind>[],
  progress: Progress,
  inflict: Readonly<Record<Kind, (fault: PlannedFault<Kind>) => Promise<void>>>,
): Promise<void> {
  for (const fault of plan) {
    await progress.reach(fault.afterJobs);
    await inflict[fault.kind](fault);
  }
}

/** Counts what a run has done so far, for whoever waits for it to come so far. */
export class Progress {
  #count = 0;
  #waiters: { readonly count: number; readonly resolve: () => void }[] = [];

  get count(): number {
    return this.#count;
  }

  /** One more. */
  advance(): void {
    this.#count += 1;
    const reached = this.#waiters.filter(({ count }) => count <= this.#count);
    if (reached.length === 0) return;
    this.#waiters = this.#waiters.filter(({ count }) => count > this.#count);
    for (const { resolve } of reached) resolve();
  }

  /** Resolve once so many are done. */
  async reach(count: number): Promise<void> {
    if (count <= this.#count) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ count, resolve });
    await promise;
  }
}

function kindsOf<Kind extends string>(counts: Readonly<Record<Kind, number>>): Kind[] {
  const kinds: Kind[] = [];
  for (const kind in counts) {
    for (let count = 0; count < counts[kind]; count += 1) kinds.push(kind);
  }
  return kinds;
}
