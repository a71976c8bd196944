import { PlatformError } from "@headrace/contract";
import type { Redis } from "ioredis";

import { keys } from "./keys.ts";
import { connectProducer, type Report } from "./redis.ts";

/** How long Redis waits for its replica; less than the connection waits for Redis. */
const WAIT_MS = 800;
/** How long the mark that is waited for lives. */
const MARK_MS = 60_000;

/** A field of a hash as a change leaves it. */
export interface Change {
  readonly hash: string;
  readonly field: string;
  /** Null = there is none. */
  readonly after: string | null;
}

/**
 * Makes sure that one replica has a change of keys or tenants before anybody is told: a revocation
 * that a failover takes back is none. Changes are rare, so each waits for itself, on a connection
 * that nothing else waits for.
 *
 * `WAIT` waits for what its own connection wrote, hence the mark: replication is one stream, and a
 * later write stands for all before it. It proves nothing of a server that the connection has come
 * to since, where the change is not; so the change is looked for beside the mark.
 */
export class ChangeConfirmation {
  readonly #redis: Redis;
  #lostCount = 0;

  constructor(redisUrl: string, report: Report) {
    this.#redis = connectProducer(redisUrl, report);
    this.#redis.on("close", () => (this.#lostCount += 1));
  }

  /**
   * Resolve once a replica has the change.
   *
   * @throws PlatformError `queue_unavailable` when none says so in 0.8 s
   */
  async confirm({ hash, field, after }: Change): Promise<void> {
    const lostBefore = this.#lostCount;
    const [found] = await Promise.all([
      this.#redis.hget(hash, field),
      this.#redis.set(keys.apiKeysMark, "1", "PX", MARK_MS),
    ]);
    const replicas = await this.#redis.wait(1, WAIT_MS);
    if (found === after && replicas >= 1 && this.#lostCount === lostBefore) return;
    throw new PlatformError(
      "queue_unavailable",
      "no replica has confirmed the change in time, so it may not last; see how things stand, and make it again",
    );
  }

  close(): void {
    this.#redis.disconnect();
  }
}
