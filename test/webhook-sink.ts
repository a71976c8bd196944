import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { text as readText } from "node:stream/consumers";

/** A webhook as its receiver got it. */
export interface SunkWebhook {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A receiver of webhooks: keeps all it is sent, and answers 204 unless it is told otherwise. */
export class WebhookSink {
  readonly received: SunkWebhook[] = [];
  readonly #server: Server;
  readonly #arrivals = new EventTarget();
  /** Given each webhook before it is answered. @returns the status to answer with */
  onReceive: (webhook: SunkWebhook) => Promise<number> | number = () => 204;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(): Promise<WebhookSink> {
    const server = createServer();
    const sink = new WebhookSink(server);
    server.on("request", async (request, response) => {
      const body = await readText(request);
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      );
      const webhook = { headers, body };
      sink.received.push(webhook);
      sink.#arrivals.dispatchEvent(new Event("arrival"));
      response.writeHead(await sink.onReceive(webhook)).end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return sink;
  }

  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new TypeError("not a TCP server");
    return `http://127.0.0.1:${address.port}/`;
  }

  /** Wait until a webhook has come that the condition holds for. */
  async when(condition: (webhook: SunkWebhook) => boolean): Promise<SunkWebhook> {
    for (;;) {
      const found = this.received.find(condition);
      if (found !== undefined) return found;
      await once(this.#arrivals, "arrival");
    }
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}
