import { PlatformError } from "@headrace/contract";

/** How soon a tenant that has all it may have of a process might ask again, ms. */
const RETRY_MS = 1_000;

/** What of a process there is so much of. */
export interface Shared {
  /** All that there is. */
  readonly whole: number;
  /** The most that one tenant may hold. */
  readonly share: number;
  /** What it is called to callers: "connections". */
  readonly what: string;
}

/** Gives out something that a process has so much of, so that no tenant can have all of it. */
export class Shares {
  readonly #shared: Shared;
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /**
   * Take so much for a tenant.
   *
   * @throws PlatformError `share_exceeded` where it has its share, `queue_unavailable` where others
   *   have the rest
   */
  take(tenant: string, amount = 1): void {
    const { whole, share, what } = this.#shared;
    const held = this.#held.get(tenant) ?? 0;
    if (held + amount > share) {
      throw new PlatformError(
        "share_exceeded",
        `your calls hold ${held} ${what} of this server, and may hold ${share}; end some first`,
        { waitMs: RETRY_MS },
      );
    }
    if (this.#total + amount > whole) {
      throw new PlatformError(
        "queue_unavailable",
        `this server holds ${this.#total} ${what}, and ${whole} is its limit`,
      );
    }
    this.#total += amount;
    this.#held.set(tenant, held + amount);
  }

  /** Give back what was taken. */
  give(tenant: string, amount = 1): void {
    const left = (this.#held.get(tenant) ?? 0) - amount;
    this.#total -= amount;
    if (left > 0) this.#held.set(tenant, left);
    else this.#held.delete(tenant);
  }
}
