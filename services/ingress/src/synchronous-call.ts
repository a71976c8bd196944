import {
  isTerminalEntry,
  type Follower,
  type LogEntry,
  type Reader,
  type Submission,
} from "@headrace/broker";
import { PlatformError, type JobId, type TerminalStatus } from "@headrace/contract";

import type { Headers } from "./answer.ts";
import { onceClosed, type Exchange } from "./exchange.ts";
import { stopping, type Reading } from "./readers.ts";
import type { Services } from "./services.ts";

/** Tells the caller of a synchronous call which job it became. */
/** The job was accepted and has ended: sending it again is a new job, for the caller to decide. */
export const NO_RETRY: Headers = { "x-should-retry": "false" };

export const JOB_HEADER = "x-headrace-job-id";

/** What a synchronous call's caller gets, and how. */
export interface Delivery {
  /** Learn the job's id, and when Redis accepted it, before anything else. */
  readonly begin: (job: JobId, onRoom: () => void, acceptedAtMs: number) => void;
  /** Take an entry that does not end the job. @returns whether there is room for the next */
  readonly take: (entry: LogEntry) => boolean;
  /** Redis has lost what was taken: it comes again. @returns whether it could be taken back */
  readonly reset: () => boolean;
  /** The job has ended. The answer must end with that. */
  readonly end: (status: TerminalStatus, entry: LogEntry) => void;
  /** There will be no end. The answer must end with that. */
  readonly fail: (error: PlatformError) => void;
  readonly tick: (nowMs: number) => void;
}

/**
 * A call of one of the engine's own endpoints: a job that lives as long as its caller stays.
 *
 * The caller is attached to the job before the job is accepted. One that hangs up cancels it.
 */
export class SynchronousCall implements Reader, Reading {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #delivery: Delivery;
  readonly #closed = Promise.withResolvers<void>();
  #job: JobId | null = null;
  #follower: Follower | null = null;
  /** Output that came before the submit's own answer. The follower is paused by it: one at most. */
  #early: LogEntry | null = null;
  /** The job has ended: there is nothing to cancel. */
  #isOver = false;

  constructor(services: Services, exchange: Exchange, delivery: Delivery) {
    this.#services = services;
    this.#exchange = exchange;
    this.#delivery = delivery;
    onceClosed(exchange, this.#closed.resolve);
  }

  /** Submit the job and deliver what it comes to. Resolves when the connection is done with it. */
  async run(submission: Omit<Submission, "attachedTo" | "idempotencyKey">): Promise<void> {
    const { broker, readers } = this.#services;
    if (this.#exchange.response.closed) return;
    readers.enter(this, this.#exchange.tenant);
    try {
      const { id, isNew, acceptedAtMs, follower, hangUp } = await broker.submitAndFollow(
        submission,
        this,
      );
      if (!isNew) this.#exchange.gainedHeaders["idempotent-replayed"] = "true";
      this.#job = id;
      this.#follower = follower;
      this.#delivery.begin(id, () => follower.resume(), acceptedAtMs);
      this.#releaseEarly(follower);
      await this.#closed.promise;
      follower.close();
      if (!this.#isOver) await hangUp();
    } finally {
      this.#follower?.close();
      readers.exit(this);
    }
  }

  readonly onEntry = (entry: LogEntry): boolean => {
    if (this.#job === null && !isIdle(entry)) {
      this.#early = entry;
      return false;
    }
    return this.#deliver(entry);
  };

  readonly onVoid = (): void => {
    if (this.#delivery.reset()) return;
    const message = "what was streamed is lost, and cannot be taken back";
    this.#fail(new PlatformError("output_interrupted", message));
  };

  /** Nobody can delete an open job: Redis has lost it. It can be sent again unless output is out. */
  readonly onGone = (): void => {
    const [code, message] = this.#delivery.reset()
      ? (["queue_unavailable", "the job is gone from Redis; try again"] as const)
      : (["output_interrupted", "the job is gone from Redis, and its stream with it"] as const);
    this.#fail(new PlatformError(code, message));
  };

  readonly tick = (nowMs: number): void => {
    if (this.#job !== null && !this.#exchange.response.writableEnded) this.#delivery.tick(nowMs);
  };

  /** The caller cannot come back for the rest, so it gets the grace to have it all. */
  readonly leave = (): void => {};

  readonly abort = (): void => {
    if (this.#exchange.response.writableEnded || this.#job === null) {
      this.#exchange.response.destroy();
      return;
    }
    this.#fail(stopping());
  };

  #deliver(entry: LogEntry): boolean {
    try {
      if (!isTerminalEntry(entry.type)) return this.#delivery.take(entry);
      this.#isOver = true;
      this.#services.events.generationEnded(this.#exchange);
      this.#delivery.end(entry.type, entry);
    } catch (error) {
      if (this.#job !== null) this.#services.events.entryUnreadable(this.#job, error);
      this.#fail(new PlatformError("internal", "the job's output cannot be read"));
    }
    return true;
  }

  /** End the answer without an end of the job: when the connection closes, it is cancelled. */
  #fail(error: PlatformError): void {
    this.#follower?.close();
    if (!this.#exchange.response.writableEnded) this.#delivery.fail(error);
  }

  #releaseEarly(follower: Follower): void {
    const entry = this.#early;
    this.#early = null;
    if (entry !== null && this.#deliver(entry)) follower.resume();
  }
}

/** Whether an entry brings nothing to deliver: an attempt that takes nothing back. */
function isIdle({ type, data }: LogEntry): boolean {
  return type === "attempt" && data.includes('"reset":false');
}
