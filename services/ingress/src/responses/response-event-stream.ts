import { isTerminalEntry, type Follower, type LogEntry, type Reader } from "@headrace/broker";
import { PlatformError, toErrorBody, type JobId } from "@headrace/contract";
import { type ResponseEvent, type ResponsePlace } from "@headrace/endpoints";

import type { Headers } from "../answer.ts";
import { EventStream } from "../event-stream.ts";
import { onceClosed, type Exchange } from "../exchange.ts";
import type { Reading } from "../readers.ts";
import type { Services } from "../services.ts";

/** One reader of a stored response's events: what it lacks, then what comes. */
export class ResponseEventStream implements Reader, Reading {
  readonly #services: Services;
  readonly #exchange: Exchange;
  readonly #place: ResponsePlace;
  readonly #stream: EventStream;
  readonly #closed = Promise.withResolvers<void>();
  #follower: Follower | null = null;

  constructor(
    services: Services,
    exchange: Exchange,
    { place, headers }: { readonly place: ResponsePlace; readonly headers: Headers },
  ) {
    this.#services = services;
    this.#exchange = exchange;
    this.#place = place;
    this.#stream = new EventStream(exchange, services.patience, {
      onRoom: () => this.#follower?.resume(),
      headers,
    });
    onceClosed(exchange, this.#onClose);
  }

  /** Serve the reader until the response has ended, the reader has left, or the process stops. */
  async run(job: JobId): Promise<void> {
    const { broker, readers } = this.#services;
    const { pending, after, isEnded } = this.#place;
    if (readers.isLeft) {
      this.#sendAway();
      return;
    }
    readers.enter(this, this.#exchange.tenant);
    try {
      if (pending.length > 0) this.#stream.write(writeEvents(pending));
      if (isEnded) {
        this.#stream.end();
        return;
      }
      this.#follower = await broker.follow(job, after, this);
      if (!this.#stream.isBlocked) this.#follower.resume();
      this.#stream.begin();
      await this.#closed.promise;
    } finally {
      this.#follower?.close();
      readers.exit(this);
    }
  }

  /**
   * Serve the reader who has just made the response. It is accepted, whether or not it can be followed
   * here, and no error may say otherwise: then the reader is told how it began, and sent away to go on
   * elsewhere.
   */
  async runNew(job: JobId): Promise<void> {
    try {
      await this.run(job);
    } catch (error) {
      if (!(error instanceof PlatformError)) throw error;
      this.#sendAway();
    }
  }

  readonly onEntry = (entry: LogEntry): boolean => {
    const { translator, known } = this.#place;
    try {
      if (translator.isVoiding(entry)) return this.#breakOff(startedOver());
      const events = translator.take(entry).filter((event) => event.sequence_number > known);
      const text = writeEvents(events);
      if (isTerminalEntry(entry.type)) this.#stream.end(text);
      else if (text !== "") return this.#stream.write(text);
      return true;
    } catch (error) {
      this.#services.events.entryUnreadable(translator.response.id, error);
      return this.#breakOff(new PlatformError("internal", "the response's output cannot be read"));
    }
  };

  readonly onVoid = (): void => {
    const { translator } = this.#place;
    if (translator.hasOutput) this.#breakOff(startedOver());
    else translator.reset();
  };

  readonly onGone = (): void => {
    this.#breakOff(new PlatformError("response_not_found", "the response was deleted"));
  };

  readonly tick = (nowMs: number): void => this.#stream.tick(nowMs);

  /** The reader comes back to another process, with the number of its last event. */
  readonly leave = (): void => this.#stream.leave();

  readonly abort = (): void => {
    this.#exchange.response.destroy();
  };

  readonly #onClose = (): void => {
    this.#follower?.close();
    this.#closed.resolve();
  };

  #sendAway(): void {
    if (!this.#stream.hasBegun) this.#stream.write(writeEvents(this.#place.pending));
    this.leave();
  }

  /** End the stream, though not the response: it may go on, for whoever reads it from its start. */
  #breakOff(error: PlatformError): boolean {
    const [event] = this.#place.translator.breakOff(toErrorBody(error));
    this.#services.events.errorTold(error.code);
    this.#follower?.close();
    this.#stream.end(event === undefined ? "" : writeEvents([event]));
    return true;
  }
}

/** Write events as OpenAI's stream has them; their numbers are their ids, for readers that keep those. */
export function writeEvents(events: readonly ResponseEvent[]): string {
  return events
    .map(
      (event) =>
        `id: ${event.sequence_number}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`,
    )
    .join("");
}

function startedOver(): PlatformError {
  return new PlatformError(
    "output_interrupted",
    "the response was broken off and has started over; stream it again from its start, or retrieve it once it has ended",
  );
}
