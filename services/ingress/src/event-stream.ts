import { randomInt } from "node:crypto";

import { writeHead, type Headers } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Patience } from "./readers.ts";

/** A comment in SSE: clients skip it, proxies see traffic. */
const HEARTBEAT = ": heartbeat\n\n";

/** When readers come back who were sent away: not all in one moment. */
const SOONEST_BACK_MS = 100;
const LATEST_BACK_MS = 1_000;

const HEADERS: Headers = {
  "content-type": "text/event-stream; charset=utf-8",
  // nginx and its kin would gather tokens into blocks.
  "x-accel-buffering": "no",
};

/**
 * An answer as a stream of server-sent events.
 *
 * Nothing is buffered here beyond what the socket takes: `write` says when to stop, and `onRoom` is
 * called when there is room again. A reader that makes none for too long is disconnected.
 */
export class EventStream {
  readonly #exchange: Exchange;
  readonly #patience: Patience;
  readonly #headers: Headers;
  #wroteAtMs = performance.now();
  #blockedAtMs: number | null = null;

  constructor(
    exchange: Exchange,
    patience: Patience,
    { onRoom, headers = {} }: { readonly onRoom: () => void; readonly headers?: Headers },
  ) {
    this.#exchange = exchange;
    this.#patience = patience;
    this.#headers = headers;
    exchange.response.on("drain", () => {
      this.#blockedAtMs = null;
      onRoom();
    });
  }

  /** Whether the status is sent, and with it the chance to answer with another. */
  get hasBegun(): boolean {
    return this.#exchange.response.headersSent;
  }

  /** Whether the reader has yet to take what was written. */
  get isBlocked(): boolean {
    return this.#blockedAtMs !== null;
  }

  /** Send the head, so that the caller knows it is being served. */
  begin(): void {
    if (this.hasBegun) return;
    this.#writeHead();
    this.#exchange.response.flushHeaders();
  }

  /**
   * Send whole events. After the end this does nothing.
   *
   * @returns false when the reader should be given no more until `onRoom`
   */
  write(text: string): boolean {
    const { response } = this.#exchange;
    if (response.writableEnded) return true;
    this.#wroteAtMs = performance.now();
    // The head goes in one packet with the first chunk.
    if (!this.hasBegun) this.#writeHead();
    const hasRoom = response.write(text);
    if (!hasRoom) this.#blockedAtMs ??= this.#wroteAtMs;
    return hasRoom;
  }

  /** Send the last events and end. */
  end(text = ""): void {
    if (!this.hasBegun) this.#writeHead();
    this.#exchange.response.end(text);
  }

  /** End for now: the reader is to come back in a while, and will find another process. */
  leave(): void {
    const backMs = randomInt(SOONEST_BACK_MS, LATEST_BACK_MS);
    this.end(`: this server is stopping\nretry: ${backMs}\n\n`);
  }

  /** Send a heartbeat where one is due; disconnect a reader that takes nothing. */
  tick(nowMs: number): void {
    if (this.#blockedAtMs !== null) {
      if (nowMs - this.#blockedAtMs >= this.#patience.drainMs) this.#exchange.response.destroy();
    } else if (nowMs - this.#wroteAtMs >= this.#patience.heartbeatMs) {
      this.write(HEARTBEAT);
    }
  }

  #writeHead(): void {
    writeHead(this.#exchange, 200, { ...HEADERS, ...this.#headers });
  }
}
