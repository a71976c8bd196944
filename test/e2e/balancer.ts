import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** How often each process is asked whether it is ready, ms. */
const ASK_MS = 50;

/**
 * A load balancer as one stands before ingress processes: every connection goes to one that says
 * that it is ready, the first of the list that does.
 */
export class Balancer {
  /** Connections that were cut from a process' side before their end. */
  cuts = 0;
  readonly #server: Server;
  readonly #urls: readonly URL[];
  readonly #ready = new Set<string>();
  readonly #sockets = new Set<Socket>();
  readonly #timer: NodeJS.Timeout;

  private constructor(server: Server, urls: readonly string[]) {
    this.#server = server;
    this.#urls = urls.map((url) => new URL(url));
    server.on("connection", (client: Socket) => this.#carry(client));
    this.#timer = setInterval(() => void this.#askAll(), ASK_MS);
  }

  static async start(urls: readonly string[]): Promise<Balancer> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const balancer = new Balancer(server, urls);
    await balancer.#askAll();
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${portOf(this.#server.address())}`;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }

  async #askAll(): Promise<void> {
    await Promise.all(
      this.#urls.map(async (url) => {
        const answer = await fetch(new URL("/readyz", url)).catch(() => null);
        await answer?.body?.cancel();
        if (answer?.ok === true) this.#ready.add(url.port);
        else this.#ready.delete(url.port);
      }),
    );
  }

  #carry(client: Socket): void {
    const target = this.#urls.find(({ port }) => this.#ready.has(port));
    const server = connect({
      port: Number(target?.port ?? 0),
      host: "127.0.0.1",
      allowHalfOpen: true,
    });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => {
        if (from === server) this.cuts += 1;
        to.destroy();
      });
      from.once("close", () => this.#sockets.delete(from));
      from.pipe(to);
    }
  }
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new TypeError("not a TCP server");
  return address.port;
}
