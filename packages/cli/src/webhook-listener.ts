import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";

import { HeadraceError, unwrapWebhook } from "@headrace/client";
import type { WebhookEvent } from "@headrace/contract";

import { CommandFailure, systemCodeOf } from "./failure.ts";
import { toUrl } from "./supervisor/address.ts";

/** Webhooks are thin: what is longer is none. */
const MOST_BODY_BYTES = 65_536;
const REQUEST_MS = 10_000;
/** Ids remembered, to tell an event that comes again; more only means that some are taken for new. */
const REMEMBERED = 10_000;

/** What came: a genuine event, or why it is none. */
export type Arrival =
  | { readonly event: WebhookEvent; readonly isRepeat: boolean }
  | { readonly fault: string };

/** What a listener is opened with. */
export interface ListenerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly onArrival: (arrival: Arrival) => void;
}

/** A receiver of webhooks on this machine: verifies what comes, and answers as receivers should. */
export class WebhookListener {
  readonly #server: Server;
  readonly #host: string;
  readonly #onArrival: (arrival: Arrival) => void;
  readonly #seen = new Set<string>();
  /** What webhooks have to be signed with; until it is known, none is genuine. */
  secret = "";

  private constructor(server: Server, { host, onArrival }: ListenerOptions) {
    this.#server = server;
    this.#host = host;
    this.#onArrival = onArrival;
  }

  /** Listen. @throws CommandFailure when the address cannot be had */
  static async open(options: ListenerOptions): Promise<WebhookListener> {
    const server = createServer();
    const listener = new WebhookListener(server, options);
    server.requestTimeout = REQUEST_MS;
    server.on("request", (request, response) => {
      // #take settles its own failures into a status.
      void listener.#take(request).then((status) => response.writeHead(status).end());
    });
    server.listen(options.port, options.host);
    try {
      await once(server, "listening");
    } catch (error) {
      const { host, port } = options;
      const code = systemCodeOf(error) ?? String(error);
      throw new CommandFailure(`cannot listen on ${host}, port ${port}: ${code}`, { cause: error });
    }
    return listener;
  }

  /** Where webhooks are to be sent. */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string")
      throw new TypeError("not listening on TCP");
    return `${toUrl(this.#host, address.port)}/`;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  /** @returns the status to answer with: what is not genuine is refused, and comes again for nothing */
  async #take(request: IncomingMessage): Promise<number> {
    try {
      const body = await readBody(request);
      const event = await unwrapWebhook(body, request.headers, this.secret);
      this.#onArrival({ event, isRepeat: this.#isRepeat(event.id) });
      return 204;
    } catch (error) {
      this.#onArrival({ fault: describe(error) });
      return 400;
    }
  }

  #isRepeat(id: string): boolean {
    if (this.#seen.has(id)) return true;
    if (this.#seen.size >= REMEMBERED) this.#seen.clear();
    this.#seen.add(id);
    return false;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of request) {
    const bytes = Buffer.from(piece);
    sizeBytes += bytes.length;
    if (sizeBytes > MOST_BODY_BYTES) throw new RangeError(`over ${MOST_BODY_BYTES} bytes`);
    pieces.push(bytes);
  }
  return Buffer.concat(pieces).toString();
}

function describe(error: unknown): string {
  if (error instanceof HeadraceError || error instanceof RangeError) return error.message;
  return "what came could not be read";
}
