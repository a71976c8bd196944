import {
  isTerminalEntry,
  type Follower,
  type JobRecord,
  type LogEntry,
  type Reader,
  type Standing,
} from "@headrace/broker";
import { jobEndSchema, type Cursor, type TerminalStatus } from "@headrace/contract";
import { findError } from "@headrace/endpoints";
import { latencyOf } from "@headrace/latency";

import { EventStream } from "./event-stream.ts";
import { onceClosed, type Exchange } from "./exchange.ts";
import type { Reading } from "./readers.ts";
import type { Services } from "./services.ts";

/** One reader of `GET /v1/jobs/{id}/events`: what the log has after its place, then what comes. */
export class JobEventStream implements Reader, Reading {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #record: JobRecord;
  readonly #stream: EventStream;
  readonly #closed = Promise.withResolvers<void>();
  #follower: Follower | null = null;
  /** What the reader has is not in the log (any more): the next attempt must void it. */
  #mustReset = false;
  #isDelivered = false;

  constructor(services: Services, exchange: Exchange, record: JobRecord) {
    this.#services = services;
    this.#exchange = exchange;
    this.#record = record;
    this.#stream = new EventStream(exchange, services.patience, {
      onRoom: () => this.#follower?.resume(),
    });
    onceClosed(exchange, this.#onClose);
  }

  /**
   * Serve the reader until the job has ended, the reader has left, or the process stops.
   *
   * @param after the last event that the reader has
   * @param standing of a job that is still in the queue: it is told first, in an event without an
   *   id, since it is not in the log
   * @returns whether the job's end was handed to the reader
   */
  async run(after: Cursor, standing: Standing | null): Promise<boolean> {
    const { broker, readers } = this.#services;
    if (readers.isLeft) {
      // A refusal would be final to a browser: it comes back after an end only.
      this.leave();
      return false;
    }
    readers.enter(this, this.#exchange.tenant);
    try {
      if (standing !== null) this.#stream.write(queuedEvent(this.#record.id, standing));
      this.#follower = await broker.follow(this.#record.id, after, this);
      if (!this.#stream.isBlocked) this.#follower.resume();
      this.#stream.begin();
      await this.#closed.promise;
      return this.#isDelivered && this.#exchange.response.writableFinished;
    } finally {
      this.#follower?.close();
      readers.exit(this);
    }
  }

  readonly onEntry = (entry: LogEntry): boolean => {
    const { id, type, data } = entry;
    if (isTerminalEntry(type)) return this.#end(entry, type);
    switch (type) {
      case "delta":
        return this.#stream.write(
          `id: ${id}\nevent: output.delta\ndata: {"type":"output.delta","choices":${data}}\n\n`,
        );
      case "vectors":
        return this.#stream.write(
          `id: ${id}\nevent: output.delta\ndata: {"type":"output.delta","data":${data}}\n\n`,
        );
      case "attempt":
        return this.#stream.write(
          `id: ${id}\nevent: attempt.started\ndata: {"type":"attempt.started",${this.#attempt(data)}\n\n`,
        );
    }
  };

  readonly onVoid = (): void => {
    this.#mustReset = true;
  };

  readonly onGone = (): void => this.#stream.end();

  readonly tick = (nowMs: number): void => this.#stream.tick(nowMs);

  /** The reader comes back to another process, with its cursor. */
  readonly leave = (): void => this.#stream.leave();

  readonly abort = (): void => {
    this.#exchange.response.destroy();
  };

  readonly #onClose = (): void => {
    this.#follower?.close();
    this.#closed.resolve();
  };

  /** The fields of an `attempt.started`, without the opening brace. */
  #attempt(data: string): string {
    const text = this.#mustReset ? data.replace('"reset":false', '"reset":true') : data;
    this.#mustReset = false;
    return text.slice(1);
  }

  #end(entry: LogEntry, status: TerminalStatus): boolean {
    try {
      this.#stream.end(endEvent(this.#record, entry, status));
      this.#isDelivered = true;
    } catch (error) {
      this.#services.events.entryUnreadable(this.#record.id, error);
      this.#exchange.response.destroy();
    }
    return true;
  }
}

function queuedEvent(job: string, { ahead, etaSeconds }: Standing): string {
  const event = { type: "job.queued", job, queue_position: ahead, eta_seconds: etaSeconds };
  return `event: job.queued\ndata: ${JSON.stringify(event)}\n\n`;
}

function endEvent(record: JobRecord, { id, data }: LogEntry, status: TerminalStatus): string {
  const end = jobEndSchema.parse(JSON.parse(data));
  const error = findError(status, end);
  const event = {
    type: `job.${status}`,
    job: record.id,
    usage: end.outcome.usage ?? null,
    latency: latencyOf({ id: record.id, admitMs: record.spec.admit_ms, end }),
    ...(error === null ? {} : { error }),
  };
  return `id: ${id}\nevent: job.${status}\ndata: ${JSON.stringify(event)}\n\n`;
}
