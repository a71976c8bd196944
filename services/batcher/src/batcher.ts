import type { BatchClaim } from "@headrace/broker";
import { PlatformError } from "@headrace/contract";

import { BatchRun } from "./batch-run.ts";
import { BatchLost, HeldBatch, LEASE_MS } from "./held-batch.ts";
import { sweepRemovals } from "./removal-sweep.ts";
import type { BatcherTools } from "./tools.ts";
import { rest } from "./trouble.ts";

/** How often to look for a batch; for each that this process has, so much later: others may have none. */
const LOOK_MS = 500;
const SWEEP_MS = 60_000;
/** How long to leave Redis alone when it does not answer. */
const OUTAGE_MS = 1_000;

/** Takes up batches that nobody has, runs some side by side, and sweeps what files leave behind. */
export class Batcher {
  readonly #tools: BatcherTools;
  readonly #mostBatches: number;
  readonly #running = new Set<Promise<void>>();

  constructor(tools: BatcherTools, mostBatches: number) {
    this.#tools = tools;
    this.#mostBatches = mostBatches;
  }

  /** Batches that this process has now. */
  get runningCount(): number {
    return this.#running.size;
  }

  /** Run batches until the signal is aborted; those that have not ended are given back then. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#takeUp(signal), this.#sweep(signal)]);
    await Promise.all(this.#running);
  }

  async #takeUp(signal: AbortSignal): Promise<void> {
    const { broker, events } = this.#tools;
    while (!signal.aborted) {
      try {
        if (this.#running.size < this.#mostBatches) {
          const claim = await broker.batches.claim(broker.name, LEASE_MS);
          if (claim !== null) this.#start(claim, signal);
        }
        await rest(LOOK_MS * (1 + this.#running.size), signal);
      } catch (error) {
        events.troubled(new Error("no batch can be taken up, to be repeated", { cause: error }));
        await rest(OUTAGE_MS, signal);
      }
    }
  }

  #start(claim: BatchClaim, signal: AbortSignal): void {
    // #run reports its own failures.
    const running = this.#run(claim, signal).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #run(claim: BatchClaim, signal: AbortSignal): Promise<void> {
    const { broker, events } = this.#tools;
    events.claimed(claim.batch, claim.isResumed);
    const held = new HeldBatch(broker, claim, events.troubled);
    try {
      const offsetMs = (await broker.readClock()) - performance.now();
      const now = (): number => performance.now() + offsetMs;
      const end = await new BatchRun(this.#tools, held, { now, signal }).run();
      events.left(claim.batch, end);
      if (end === "stopped") await broker.batches.release(claim);
    } catch (error) {
      // Not given back: whoever is next may break, too, and has to wait for the lease.
      if (error instanceof BatchLost) events.lost(claim.batch);
      else events.broken(claim.batch, error);
    } finally {
      held.close();
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { broker, events } = this.#tools;
    while (!signal.aborted) {
      try {
        // Ends whose batcher died before it had told of them.
        await broker.ended.tell();
        await sweepRemovals(this.#tools);
      } catch (error) {
        if (!(error instanceof PlatformError)) throw error;
        events.troubled(new Error("removing files is put off", { cause: error }));
      }
      await rest(SWEEP_MS, signal);
    }
  }
}
