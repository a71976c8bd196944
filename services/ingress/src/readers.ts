import { PlatformError } from "@headrace/contract";

import { Shares } from "./shares.ts";

/** How long things that hold a connection open may take. Tests shorten them. */
export interface Patience {
  /** A stream on which nothing was sent for this long gets a comment, ms. */
  readonly heartbeatMs: number;
  /** A reader that takes nothing for this long is disconnected, ms. */
  readonly drainMs: number;
  /** Of an upload nothing may come for this long, ms. */
  readonly uploadIdleMs: number;
  /** How long synchronous calls may go on once the process is told to stop, ms. */
  readonly graceMs: number;
}

/** Heartbeats beat the 60 s after which load balancers give an idle connection up. */
export const PATIENCE: Patience = {
  heartbeatMs: 15_000,
  drainMs: 30_000,
  uploadIdleMs: 60_000,
  graceMs: 10_000,
};

/** How long those aborted may take to cancel their jobs, ms. */
const ABORT_MS = 2_000;
/** How many may hold a connection open. */
export interface ReaderLimits {
  /** All together. */
  readonly most: number;
  /** Of these, the part that one tenant may have, to 1; what it leaves lies idle where it is alone. */
  readonly tenantShare: number;
}

/** What one tenant may have unless the operator says. */
export const TENANT_STREAM_SHARE = 0.75;
/** Of a small process, at least so many. */
const LEAST_SHARE = 16;
/** Longest that a heartbeat is late. */
const LONGEST_TICK_MS = 1_000;

/** Whoever holds a connection open until something happens to a job. */
export interface Reading {
  /** Look whether something is due. Called every second or oftener. */
  readonly tick: (nowMs: number) => void;
  /** The process stops: end if the caller can come back for the rest. */
  readonly leave: () => void;
  /** The process stops now. */
  readonly abort: () => void;
}

/**
 * All that hold connections open, so that there is a limit to them, one timer for all, and an
 * orderly end.
 */
export class Readers {
  readonly #shares: Shares;
  readonly #graceMs: number;
  /** With the tenant whose each is. */
  readonly #readings = new Map<Reading, string>();
  readonly #ticker: NodeJS.Timeout;
  #isStopping = false;
  #isExpectingStop = false;
  #onEmpty: () => void = () => {};

  constructor({ most, tenantShare }: ReaderLimits, { heartbeatMs, graceMs }: Patience) {
    const share = Math.max(LEAST_SHARE, Math.floor(most * tenantShare));
    this.#shares = new Shares({ whole: most, share, what: "open streams and calls" });
    this.#graceMs = graceMs;
    this.#ticker = setInterval(
      () => {
        const nowMs = performance.now();
        for (const reading of this.#readings.keys()) reading.tick(nowMs);
      },
      Math.min(LONGEST_TICK_MS, heartbeatMs / 4),
    );
  }

  get count(): number {
    return this.#readings.size;
  }

  /** Whether the process stops, or soon will: whoever can choose should go elsewhere. */
  get isStopping(): boolean {
    return this.#isExpectingStop;
  }

  /** Whether everybody was told to leave. Whoever comes now can only be sent on. */
  get isLeft(): boolean {
    return this.#isStopping;
  }

  /** Say that the process will stop, and serve on. */
  expectStop(): void {
    this.#isExpectingStop = true;
  }

  /**
   * @throws PlatformError `queue_unavailable` when there are too many, or the process stops;
   *   `share_exceeded` when too many are this tenant's
   */
  enter(reading: Reading, tenant: string): void {
    if (this.#isStopping) throw stopping();
    this.#shares.take(tenant);
    this.#readings.set(reading, tenant);
  }

  exit(reading: Reading): void {
    const tenant = this.#readings.get(reading);
    if (tenant === undefined) return;
    this.#readings.delete(reading);
    this.#shares.give(tenant);
    if (this.#readings.size === 0) this.#onEmpty();
  }

  /** Let everybody leave; abort those that have not after the grace. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#isExpectingStop = true;
    for (const reading of this.#readings.keys()) reading.leave();
    await this.#empty(this.#graceMs);
    for (const reading of this.#readings.keys()) reading.abort();
    await this.#empty(ABORT_MS);
    clearInterval(this.#ticker);
  }

  async #empty(withinMs: number): Promise<void> {
    if (this.#readings.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    const timer = setTimeout(resolve, withinMs);
    await promise;
    clearTimeout(timer);
  }
}

/** What a caller is told whom a stopping process leaves: nothing was kept, another serves. */
export function stopping(): PlatformError {
  return new PlatformError("queue_unavailable", "this server is stopping; try again");
}
