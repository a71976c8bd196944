import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** One connection through the proxy. */
interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly over: AbortController;
  /** Whether a request whose reply may be dropped has gone through and is not yet answered. */
  owesReply: boolean;
  /** Bytes that went to the client since cutting began. */
  carriedBytes: number;
}

/**
 * A TCP connection's worst days, between a client and a local port.
 *
 * Passes everything until told otherwise; each fault holds for all connections, those to come
 * included, until `heal`.
 */
export class FaultProxy {
  readonly port: number;
  /** Replies that were dropped after their requests had been carried out. */
  dropped = 0;
  /** How long each piece of data is held up, each way. */
  latencyMs = 0;
  readonly #target: number;
  readonly #listener: Server;
  readonly #links = new Set<Link>();
  readonly #watched: { readonly text: string; readonly onSeen: () => void }[] = [];
  /** Resolved while data is read. */
  #gate = Promise.withResolvers<void>();
  #isBlackHole = false;
  #cutAtBytes = Number.POSITIVE_INFINITY;
  #toDrop = 0;
  #dropAfter = "";

  private constructor(target: number, listener: Server, port: number) {
    this.#target = target;
    this.#listener = listener;
    this.port = port;
    this.#gate.resolve();
    listener.on("connection", (client) => this.#link(client));
  }

  /** Stand before a local port. */
  static async start(target: number): Promise<FaultProxy> {
    const listener = createServer();
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    return new FaultProxy(target, listener, portOf(listener.address()));
  }

  /** Connections now open. */
  get connections(): number {
    return this.#links.size;
  }

  /** Read no more: what is sent piles up on the senders' side, and nobody is told. */
  stopReading(): void {
    this.#gate = Promise.withResolvers();
  }

  /** Take everything and pass nothing on, both ways; connections stay open. */
  blackHole(): void {
    this.#isBlackHole = true;
  }

  /** Reset each connection as soon as it has carried this many more bytes to its client. */
  cutAfter(bytes: number): void {
    this.#cutAtBytes = bytes;
    for (const link of this.#links) link.carriedBytes = 0;
  }

  /**
   * Drop the next replies, each with its connection: the request is carried out, and its sender
   * never knows. Only replies to requests that hold `text` count.
   */
  dropReplies(count: number, text = ""): void {
    this.#toDrop = count;
    this.#dropAfter = text;
    for (const link of this.#links) link.owesReply = false;
  }

  /** Reset every connection. @returns how many there were */
  reset(): number {
    const links = [...this.#links];
    for (const link of links) cut(link);
    return links.length;
  }

  /** Be told when a client has sent this text. A text that is split over two packets is missed. */
  watchFor(text: string, onSeen: () => void): void {
    this.#watched.push({ text, onSeen });
  }

  /** Pass everything again. What a black hole took is gone. */
  heal(): void {
    this.latencyMs = 0;
    this.#isBlackHole = false;
    this.#cutAtBytes = Number.POSITIVE_INFINITY;
    this.#toDrop = 0;
    this.#gate.resolve();
  }

  /** Reset every connection and take no more. */
  async close(): Promise<void> {
    this.heal();
    const closed = once(this.#listener, "close");
    this.#listener.close();
    this.reset();
    await closed;
  }

  #link(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    const over = new AbortController();
    const link: Link = { client, server, over, owesReply: false, carriedBytes: 0 };
    this.#links.add(link);
    client.setNoDelay(true);
    server.setNoDelay(true);
    for (const socket of [client, server]) {
      // A reset reaches the other side as one; nobody else needs to hear of it.
      socket.on("error", () => cut(link));
      socket.once("close", () => {
        over.abort();
        if (client.destroyed && server.destroyed) this.#links.delete(link);
      });
    }
    void this.#carry(link, client, server);
    void this.#carry(link, server, client);
  }

  /** Carry one direction until it ends; the end is passed on, so that half-open stays half-open. */
  async #carry(link: Link, from: Socket, to: Socket): Promise<void> {
    const { signal } = link.over;
    try {
      for await (const piece of from) {
        if (!Buffer.isBuffer(piece)) continue;
        if (this.latencyMs > 0) await delay(this.latencyMs, undefined, { signal });
        await this.#gate.promise;
        if (this.#isBlackHole) continue;
        const allowed = from === link.client ? this.#ask(link, piece) : this.#answer(link, piece);
        if (allowed === null) return;
        if (!to.write(allowed)) await once(to, "drain", { signal });
      }
      to.end();
    } catch {
      cut(link);
    }
  }

  #ask(link: Link, piece: Buffer): Buffer {
    if (this.#toDrop > 0 && piece.includes(this.#dropAfter)) link.owesReply = true;
    for (const { text, onSeen } of this.#watched) if (piece.includes(text)) onSeen();
    return piece;
  }

  /** @returns what may pass, null when the connection is over with this piece */
  #answer(link: Link, piece: Buffer): Buffer | null {
    if (this.#toDrop > 0 && link.owesReply) {
      this.#toDrop -= 1;
      this.dropped += 1;
      // The server still reads to the end of what was sent to it.
      link.server.end();
      link.client.resetAndDestroy();
      return null;
    }
    const room = this.#cutAtBytes - link.carriedBytes;
    link.carriedBytes += piece.length;
    if (piece.length < room) return piece;
    link.client.write(piece.subarray(0, room), () => cut(link));
    return null;
  }
}

function cut({ client, server }: Link): void {
  for (const socket of [client, server]) if (!socket.destroyed) socket.resetAndDestroy();
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new TypeError("not a TCP server");
  return address.port;
}
