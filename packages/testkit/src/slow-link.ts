import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** A TCP link that holds up everything by the same time, in each direction, in order. */
export class SlowLink {
  /** Port of this machine that new connections lead to: change it, and cut, for a failover. */
  targetPort: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(targetPort: number, delayMs: number) {
    this.targetPort = targetPort;
    this.#server = createServer((near) => {
      const far = connect(this.targetPort, "127.0.0.1");
      join(near, far, delayMs);
      join(far, near, delayMs);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.once("close", () => this.#sockets.delete(socket));
      }
    });
  }

  /** Open one to a port of this machine. A round trip through it takes `delayMs` twice. */
  static async open(targetPort: number, delayMs: number): Promise<SlowLink> {
    const link = new SlowLink(targetPort, delayMs);
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    return link;
  }

  /** Where it listens. */
  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === "string") throw new TypeError("not listening");
    return address.port;
  }

  /** Cut every connection. What was on its way is lost. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }
}

function join(from: Socket, to: Socket, delayMs: number): void {
  from.on("data", (chunk: Buffer) => {
    setTimeout(() => {
      if (to.writable) to.write(chunk);
    }, delayMs);
  });
  from.once("error", () => to.destroy());
  from.once("close", () => to.destroy());
}
