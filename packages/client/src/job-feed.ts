import { cursorSchema, isAfter, jobEventSchema, START, type JobEvent } from "@headrace/contract";

import { HeadraceError, toInvalidResponse } from "./error.ts";
import { EventStream, type ServerEvent } from "./event-stream.ts";
import { Outage } from "./timing.ts";
import { Deadline, type Transport } from "./transport.ts";

/** An event of a job, with its place in the job's log. */
export interface JobEventItem {
  /** What `startingAfter` takes to go on after this event; null for `job.queued`. */
  readonly id: string | null;
  readonly event: JobEvent;
}

export interface FeedOptions {
  readonly job: string;
  /** Id of the last event that need not come again. */
  readonly startingAfter?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A whole embeddings answer is one event; text comes in far smaller ones. In characters. */
const MOST_EVENT_LENGTH = 128 * 1_024 * 1_024;

/**
 * Reads a job's events to the terminal one, over as many connections as it takes.
 *
 * A connection that is cut, refused with a retryable status, or silent for longer than the
 * heartbeats allow is replaced by one that starts after the last event given. An event the server
 * repeats is dropped, so there is neither gap nor repeat. Gives up after `outageMs` in which
 * nothing was heard.
 */
export class JobFeed {
  readonly #transport: Transport;
  readonly #options: FeedOptions;
  readonly #outage: Outage;
  /** Id of the last event given. */
  #after: string | undefined;

  constructor(transport: Transport, options: FeedOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#outage = new Outage(transport.timing, transport.onRetry);
    this.#after = options.startingAfter;
  }

  /**
   * Read them.
   *
   * @yields the events in their order, each once
   * @throws HeadraceError
   */
  async *read(): AsyncGenerator<JobEventItem, void, undefined> {
    for (;;) {
      let failure: unknown = null;
      try {
        const hasEnded = yield* this.#readConnection();
        if (hasEnded) return;
      } catch (error) {
        failure = error;
      }
      await this.#outage.pause(failure ?? toBrokenOff(this.#options.job), this.#options.signal);
    }
  }

  /**
   * Read one connection to its end.
   *
   * @yields the events that were not given before
   * @returns whether nothing more can come on another connection
   */
  async *#readConnection(): AsyncGenerator<JobEventItem, boolean, undefined> {
    const { answerMs, silenceMs } = this.#transport.timing;
    const closed = new AbortController();
    const silence = new Deadline(answerMs, "nothing came");
    try {
      const response = await this.#open(AbortSignal.any([closed.signal, silence.signal]));
      // The reader has had the job's end.
      if (response.status === 204) return true;
      const reader = readerOf(response);
      const events = new EventStream(MOST_EVENT_LENGTH);
      for (;;) {
        silence.restart(silenceMs);
        const { done, value } = await reader.read();
        // Only while we listen: the time that our own reader takes is not the server's silence.
        silence.clear();
        if (done) return false;
        this.#outage.hear();
        for (const serverEvent of events.push(value)) {
          const item = toItem(serverEvent, response);
          if (!this.#take(item)) continue;
          yield item;
          if (isTerminalEvent(item.event)) return true;
        }
      }
    } catch (error) {
      throw this.#transport.explain(error, this.#options.signal);
    } finally {
      silence.clear();
      // Whoever stops reading frees the server's side as well.
      closed.abort();
    }
  }

  async #open(limit: AbortSignal): Promise<Response> {
    const { job, signal } = this.#options;
    const path = `/v1/jobs/${encodeURIComponent(job)}/events`;
    const query = { starting_after: this.#after };
    const headers = { accept: "text/event-stream" };
    return this.#transport.open({ method: "GET", path, query, headers, signal }, limit);
  }

  /** Note where we are. @returns false for an event that was given before */
  #take({ id, event }: JobEventItem): boolean {
    if (id === null) return true;
    const after = this.#after === undefined ? START : cursorSchema.parse(this.#after);
    if (!isAfter(cursorSchema.parse(id), after) && !isReset(event)) return false;
    this.#after = id;
    this.#outage.end();
    return true;
  }
}

/** The one event that ends a job, with its usage and where its time went. */
export type TerminalEvent = Extract<JobEvent, { readonly latency: unknown }>;

/** Whether nothing can follow this event. */
export function isTerminalEvent(event: JobEvent): event is TerminalEvent {
  return "latency" in event;
}

/**
 * Whether what came before is void, and so may come again: when Redis has lost what the reader's
 * cursor names, the server starts over from the first event, marked as a reset.
 */
function isReset(event: JobEvent): boolean {
  return event.type === "attempt.started" && event.reset;
}

function toBrokenOff(job: string): HeadraceError {
  const fields = { status: null, code: "connection_lost", retryable: true };
  return new HeadraceError(`the events of ${job} broke off`, fields);
}

function readerOf(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  const isEvents = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  if (!isEvents || response.body === null) throw toInvalidResponse(response, "events");
  return response.body.getReader();
}

function toItem({ id, data }: ServerEvent, response: Response): JobEventItem {
  const parsed = jobEventSchema.safeParse(findJson(data));
  if (!parsed.success) throw toInvalidResponse(response, "the events the API promises");
  if (id !== "" && !cursorSchema.safeParse(id).success) {
    throw toInvalidResponse(response, "cursors as event ids");
  }
  return { id: id === "" ? null : id, event: parsed.data };
}

function findJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
