import type {
  BatchBroker,
  BatchChange,
  BatchClaim,
  BatchRecord,
  BatchStanding,
} from "@headrace/broker";
import type { BatchStatus } from "@headrace/contract";

/** For how long a batch is this process' after each write: then another batcher takes it. */
export const LEASE_MS = 20_000;
const RENEW_MS = 5_000;

/** The batch is another batcher's, or has ended: everything about it is to be left alone. */
export class BatchLost extends Error {
  override readonly name = "BatchLost";
}

/** A batch that this process has, kept so for as long as the process lives. */
export class HeldBatch {
  readonly claim: BatchClaim;
  readonly #broker: BatchBroker;
  readonly #timer: NodeJS.Timeout;
  #status: BatchStatus;
  #isLost = false;

  constructor(broker: BatchBroker, claim: BatchClaim, report: (error: Error) => void) {
    this.#broker = broker;
    this.claim = claim;
    this.#status = claim.batch.status;
    this.#timer = setInterval(() => {
      // That it is lost is told to whoever writes next.
      this.write({}).catch((error: unknown) => {
        if (!(error instanceof BatchLost)) {
          report(new Error(`${claim.batch.id} cannot be kept, to be repeated`, { cause: error }));
        }
      });
    }, RENEW_MS);
  }

  get batch(): BatchRecord {
    return this.claim.batch;
  }

  /** As of the last write: `cancelling` when it is to end with what is done. */
  get status(): BatchStatus {
    return this.#status;
  }

  /** @throws BatchLost when it is known to be another's */
  assertHeld(): void {
    if (this.#isLost) throw new BatchLost(`${this.batch.id} is another batcher's now`);
  }

  /** Write down how far it has come. @throws BatchLost, PlatformError `queue_unavailable` */
  async write(change: BatchChange): Promise<void> {
    this.assertHeld();
    const standing: BatchStanding = await this.#broker.batches.write(this.claim, change);
    if (standing.isLost) this.lose();
    else this.#status = standing.status;
  }

  /** Say that it is another's. @throws BatchLost */
  lose(): never {
    this.#isLost = true;
    this.close();
    throw new BatchLost(`${this.batch.id} is another batcher's now`);
  }

  /** Keep it no longer: the lease runs out. */
  close(): void {
    clearInterval(this.#timer);
  }
}
