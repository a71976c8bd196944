import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import type { Metrics } from "./metrics.ts";

const REQUEST_MS = 10_000;

export interface OperationsServerOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** Whether the process can do its work now; what it throws says why not. */
  readonly assertReady: () => Promise<void>;
  /** Further pages by their paths: each answers with JSON. */
  readonly pages?: Readonly<Record<string, () => Promise<object>>>;
}

/** The port for those who run the process: `/metrics`, `/healthz`, `/readyz`, and its own pages. */
export class OperationsServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listen. Rejects when the port is taken. */
  static async listen(options: OperationsServerOptions): Promise<OperationsServer> {
    const server = createServer((request, response) => {
      // #answer settles its own failures into a response.
      void answer(request.url ?? "", response, options);
    });
    server.requestTimeout = REQUEST_MS;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
    await promise;
    return new OperationsServer(server);
  }

  /** The port it listens on, chosen by the system when 0 was asked for. */
  get port(): number {
    return portOf(this.#server);
  }

  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }
}

/** The TCP port a listening server has. */
export function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new TypeError("not listening on TCP");
  return address.port;
}

async function answer(
  url: string,
  response: ServerResponse,
  { metrics, assertReady, pages = {} }: OperationsServerOptions,
): Promise<void> {
  try {
    const page = Object.hasOwn(pages, url) ? pages[url] : undefined;
    if (page !== undefined) return sendJson(response, await page());
    switch (url) {
      case "/healthz":
        return send(response, 200, "ok\n");
      case "/readyz":
        await assertReady();
        return send(response, 200, "ready\n");
      case "/metrics":
        return send(response, 200, await metrics.text());
      default:
        return send(response, 404, `there is ${[...PAGES, ...Object.keys(pages)].join(", ")}\n`);
    }
  } catch (error) {
    send(response, 503, `${describe(error)}\n`);
  }
}

/** Say what went wrong, and what was behind it. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${describe(error.cause)}`;
}

const PAGES = ["/metrics", "/healthz", "/readyz"];

/** A browser has nothing to do with these pages but to show them. */
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

function sendJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { ...HEADERS, "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    ...HEADERS,
    "content-type": "text/plain; version=0.0.4; charset=utf-8",
  });
  response.end(text);
}
