import { setTimeout as delay } from "node:timers/promises";

import { jobEventSchema, type JobEvent } from "@headrace/contract";
import { request, type Dispatcher } from "undici";

import { contentOf } from "../bench/chat-stream.ts";
import { readEventLines, type WireEvent } from "./event-lines.ts";
import type { ReaderEnd, SeenEvent, Transcript } from "./transcript.ts";

/** Pause before a connection is made again. */
const PAUSE_MS = 100;
/** A server that says nothing for longer than two heartbeats is taken for dead. */
const SILENCE_MS = 40_000;
const ANSWER_MS = 10_000;

/** What a reader needs to know. */
export interface ReaderOptions {
  /** Addresses of ingresses. Each connection goes to the next. */
  readonly urls: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  /** Aborted when the run is over. */
  readonly signal: AbortSignal;
  /** Told of each event. */
  readonly onEvent?: (event: SeenEvent) => void;
}

/**
 * Read a job's events to its end, over as many connections as it takes, each resumed with
 * `Last-Event-ID` where the one before was cut.
 *
 * Writes down everything as it came: a repeated event is the verifier's to find, not to be hidden
 * here. Never throws.
 *
 * @param turn which of the addresses to begin with
 */
export async function readJob(
  job: string,
  turn: number,
  options: ReaderOptions,
): Promise<Transcript> {
  const reader = new JobReader(job, options);
  let end: ReaderEnd | null = null;
  for (let connection = 0; end === null; connection += 1) {
    const { urls, signal } = options;
    const url = urls[(turn + connection) % urls.length] ?? "";
    end = await reader.readConnection(url).catch(() => null);
    if (signal.aborted) end ??= "gave_up";
    if (end === null) await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
  }
  return reader.write(end);
}

class JobReader {
  readonly #job: string;
  readonly #options: ReaderOptions;
  readonly #events: SeenEvent[] = [];
  readonly #oddities: string[] = [];
  #lastId = "";
  #connections = 0;

  constructor(job: string, options: ReaderOptions) {
    this.#job = job;
    this.#options = options;
  }

  write(end: ReaderEnd): Transcript {
    const [events, oddities] = [this.#events, this.#oddities];
    return { events, oddities, connections: this.#connections, end };
  }

  /** @returns how the reading ended, null when it was cut */
  async readConnection(url: string): Promise<ReaderEnd | null> {
    const { dispatcher, headers, signal } = this.#options;
    this.#connections += 1;
    const resumed = this.#lastId === "" ? {} : { "last-event-id": this.#lastId };
    const { statusCode, body } = await request(`${url}/v1/jobs/${this.#job}/events`, {
      dispatcher,
      signal,
      headers: { ...headers, ...resumed },
      headersTimeout: ANSWER_MS,
      bodyTimeout: SILENCE_MS,
    });
    if (statusCode !== 200) {
      const text = await body.text();
      if (statusCode === 204) return "ended";
      if (statusCode === 404) return "gone";
      if (statusCode !== 503) this.#oddities.push(`${statusCode} ${text}`);
      return null;
    }
    body.setEncoding("utf8");
    for await (const event of readEventLines(body)) {
      if (event !== null && this.#take(event)) return "ended";
    }
    return null;
  }

  /** @returns whether it is the job's end */
  #take({ id, data }: WireEvent): boolean {
    const parsed = parseEvent(data);
    if (parsed === null) {
      this.#oddities.push(`200 ${data}`);
      return false;
    }
    const seen = toSeen(id, parsed);
    this.#events.push(seen);
    if (id !== "") this.#lastId = id;
    this.#options.onEvent?.(seen);
    return "latency" in parsed;
  }
}

function parseEvent(data: string): JobEvent | null {
  try {
    const parsed = jobEventSchema.safeParse(JSON.parse(data));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

function toSeen(id: string, event: JobEvent): SeenEvent {
  const isAttempt = event.type === "attempt.started";
  return {
    id,
    type: event.type,
    text: event.type === "output.delta" ? contentOf(event) : "",
    reset: isAttempt && event.reset,
    reason: isAttempt ? event.reason : "",
    atMs: performance.now(),
  };
}
