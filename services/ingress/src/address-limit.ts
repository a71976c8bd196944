import { PlatformError } from "@headrace/contract";

/** Addresses remembered: about 10 MB. Past that the one that was silent for longest is forgotten. */
const MOST_ADDRESSES = 50_000;
/** Nobody may try more wrong keys a minute, however many requests: each counts as so many. */
const MOST_WRONG_KEYS = 600;
const MINUTE_MS = 60_000;
const MS_PER_SECOND = 1_000;

/** What an address may still ask. */
interface Bucket {
  /** Requests, as of then. */
  level: number;
  /** On the process' monotonic clock. */
  atMs: number;
}

/**
 * Bounds what one address may ask of this process, whatever it asks and whoever it says it is: before
 * anything else is done for a request. A minute's worth may be asked at once, and comes back evenly.
 *
 * It is counted in memory, since a round trip would cost more than most of what it is to keep away.
 */
export class AddressLimit {
  readonly #perMinute: number;
  readonly #wrongKeyRequests: number;
  readonly #now: () => number;
  /** From the one that was silent for longest to the last that asked. */
  readonly #buckets = new Map<string, Bucket>();

  /** @param now the process' monotonic clock, ms */
  constructor(perMinute: number, now: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#wrongKeyRequests = Math.ceil(perMinute / MOST_WRONG_KEYS);
    this.#now = now;
  }

  /** Addresses remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Count a request. @throws PlatformError `rate_limit_exceeded` when the address has none left */
  admit(address: string): void {
    const bucket = this.#lookAt(address);
    if (bucket.level >= 1) {
      bucket.level -= 1;
      return;
    }
    const waitMs = Math.ceil(((1 - bucket.level) * MINUTE_MS) / this.#perMinute);
    const seconds = (waitMs / MS_PER_SECOND).toFixed(3);
    throw new PlatformError(
      "rate_limit_exceeded",
      `your address may make ${this.#perMinute} requests a minute, of which ${MOST_WRONG_KEYS} at most with a wrong key; try again in ${seconds} s`,
      { waitMs, reason: "address" },
    );
  }

  /** Count what a request with a wrong key costs beyond any other. */
  countWrongKey(address: string): void {
    const bucket = this.#lookAt(address);
    bucket.level = Math.max(0, bucket.level - (this.#wrongKeyRequests - 1));
  }

  #lookAt(address: string): Bucket {
    const nowMs = this.#now();
    const bucket = this.#buckets.get(address) ?? { level: this.#perMinute, atMs: nowMs };
    const filled = ((nowMs - bucket.atMs) * this.#perMinute) / MINUTE_MS;
    bucket.level = Math.min(this.#perMinute, bucket.level + filled);
    bucket.atMs = nowMs;
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    const [silent] = this.#buckets.keys();
    if (this.#buckets.size > MOST_ADDRESSES && silent !== undefined) this.#buckets.delete(silent);
    return bucket;
  }
}
