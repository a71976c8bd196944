import type { Socket } from "node:net";

import { writeHead, type Headers } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Patience } from "./readers.ts";

/** A comment in SSE: clients skip it, proxies see traffic. */
const HEARTBEAT = ": heartbeat\n\n";

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
  readonly #onRoom: () => void;
  #socket: Socket | null = null;
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
    this.#onRoom = onRoom;
    exchange.response.on("drain", this.#onDrain);
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
    const hasRoom = this.hasBegun ? this.#send(text) : this.#sendFirst(text);
    if (!hasRoom) this.#blockedAtMs ??= this.#wroteAtMs;
    return hasRoom;
  }

  /** Send the last events and end. */
  end(text = ""): void {
    if (!this.hasBegun) this.#writeHead();
    this.#exchange.response.end(text);
  }

  /** Send a heartbeat where one is due; disconnect a reader that takes nothing. */
  tick(nowMs: number): void {
    if (this.#blockedAtMs !== null) {
      if (nowMs - this.#blockedAtMs >= this.#patience.drainMs) this.#exchange.response.destroy();
    } else if (nowMs - this.#wroteAtMs >= this.#patience.heartbeatMs) {
      this.write(HEARTBEAT);
    }
  }

  readonly #onDrain = (): void => {
    this.#blockedAtMs = null;
    this.#onRoom();
  };

  #writeHead(): void {
    writeHead(this.#exchange, 200, { ...HEADERS, ...this.#headers });
  }

  /** Send the head and the first chunk, in one packet. */
  #sendFirst(text: string): boolean {
    this.#writeHead();
    return this.#exchange.response.write(text);
  }

  /**
   * Send a chunk of the body, in one write: Node makes four of each chunk, one of them deferred, and
   * takes 10 µs for what takes 7 so (64 streams, Node 26 on 2 cores, November 2026).
   */
  #send(text: string): boolean {
    const socket = this.#socket ?? this.#takeSocket();
    if (socket === null) return this.#exchange.response.write(text);
    return socket.write(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
  }

  /** @returns null while an earlier answer has the connection, and for HTTP/1.0, without chunks */
  #takeSocket(): Socket | null {
    const { response } = this.#exchange;
    const { socket } = response;
    if (socket === null || !response.chunkedEncoding) return null;
    this.#socket = socket;
    socket.on("drain", this.#onDrain);
    // The connection may serve another request after this one.
    response.once("close", () => socket.off("drain", this.#onDrain));
    return socket;
  }
}
