import type { IncomingMessage } from "node:http";

import { Shares } from "./shares.ts";

/** Bytes of bodies that may be on their way at once, and of them one tenant's. */
const WHOLE_BYTES = 256 * 1_024 * 1_024;
const SHARE_BYTES = WHOLE_BYTES / 4;

/**
 * Keeps the bodies that are on their way within bounds: each is held until it is whole, however slowly
 * it comes.
 */
export class BodyShares {
  readonly #shares: Shares;
  readonly #limitBytes: number;

  /** @param limitBytes longest body: one is always let in */
  constructor(limitBytes: number) {
    const share = Math.max(SHARE_BYTES, limitBytes);
    const whole = Math.max(WHOLE_BYTES, 2 * limitBytes);
    this.#shares = new Shares({ whole, share, what: "bytes of bodies that are on their way" });
    this.#limitBytes = limitBytes;
  }

  /**
   * Make room for a request's body until it is read, or breaks off. What its sender says counts, and
   * where it says nothing the longest that it may be.
   *
   * @throws PlatformError as `Shares.take`
   */
  enter(tenant: string, request: IncomingMessage): void {
    const { "content-length": length, "transfer-encoding": encoding } = request.headers;
    const said = encoding === undefined ? Number(length ?? 0) : this.#limitBytes;
    // One that is too long is refused unread.
    const bytes = Math.min(said, this.#limitBytes);
    if (bytes === 0) return;
    this.#shares.take(tenant, bytes);
    request.once("close", () => this.#shares.give(tenant, bytes));
  }
}
