import { PlatformError } from "@headrace/contract";

/** How soon a tenant might ask again whose line is full, ms. */
const RETRY_MS = 1_000;

/** How many of a tenant's may be under way, and how many more may wait. */
export interface TurnLimits {
  readonly atOnce: number;
  readonly waiting: number;
}

/** What a tenant has under way, and who waits for it. */
interface Line {
  underWay: number;
  readonly waiting: (() => void)[];
}

/**
 * Lets so many of a tenant's calls do something at once; the rest take turns, in the order they came.
 * What one tenant asks for all at once then costs the others next to nothing.
 */
export class TenantTurns {
  readonly #limits: TurnLimits;
  /** Only of tenants that have something under way. */
  readonly #lines = new Map<string, Line>();

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /**
   * Do something when it is its turn. It must be bounded in time, and take no turn itself: each might wait
   * for the other.
   *
   * @throws PlatformError `share_exceeded` when too many wait already; and what `work` throws
   */
  async take<Result>(tenant: string, work: () => Promise<Result> | Result): Promise<Result> {
    const line = this.#lines.get(tenant) ?? { underWay: 0, waiting: [] };
    this.#lines.set(tenant, line);
    if (line.underWay >= this.#limits.atOnce) await this.#wait(line);
    else line.underWay += 1;
    try {
      return await work();
    } finally {
      this.#passOn(tenant, line);
    }
  }

  async #wait({ waiting }: Line): Promise<void> {
    if (waiting.length >= this.#limits.waiting) {
      throw new PlatformError(
        "share_exceeded",
        `${waiting.length} of your calls wait to be read for, and more may not; wait for some first`,
        { waitMs: RETRY_MS },
      );
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    await promise;
  }

  /** Whoever is next takes the place over: it is never free meanwhile. */
  #passOn(tenant: string, line: Line): void {
    const next = line.waiting.shift();
    if (next !== undefined) {
      next();
      return;
    }
    line.underWay -= 1;
    if (line.underWay === 0) this.#lines.delete(tenant);
  }
}
