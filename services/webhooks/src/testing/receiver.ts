import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text as readText } from "node:stream/consumers";

import { portOf } from "@headrace/runtime";

/** A webhook as it came. */
export interface Received {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly path: string;
  /** On the process' monotonic clock, ms. */
  readonly atMs: number;
}

/** What a receiver answers. */
export type Behaviour = (response: ServerResponse, received: Received) => void;

/** A receiver of the test's own, on loopback: keeps what it is sent, and answers as it is told. */
export class Receiver {
  readonly received: Received[] = [];
  readonly #server: Server;
  readonly #arrivals = new EventTarget();
  connections = 0;
  behave: Behaviour = answer(204);

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<Receiver> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const receiver = new Receiver(server);
    server.on("connection", () => (receiver.connections += 1));
    server.on("request", (request, response) => void receiver.#take(request, response));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** The ids that it was sent, each once. */
  get ids(): string[] {
    return [...new Set(this.received.map(({ headers }) => headers["webhook-id"] ?? ""))];
  }

  /** Wait until so many webhooks have come. */
  async whenReceived(count: number): Promise<void> {
    while (this.received.length < count) await once(this.#arrivals, "arrival");
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const atMs = performance.now();
    const body = await readText(request);
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    const received = { headers, body, path: request.url ?? "", atMs };
    this.received.push(received);
    this.behave(response, received);
    this.#arrivals.dispatchEvent(new Event("arrival"));
  }
}

/** Answer with a status, and nothing more. */
export function answer(status: number, headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (response) => response.writeHead(status, headers).end();
}

/** Take the webhook, and never answer. */
export const hang: Behaviour = () => undefined;
