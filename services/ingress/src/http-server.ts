import { randomUUID } from "node:crypto";
import {
  createServer,
  STATUS_CODES,
  type RequestListener,
  type Server,
  type ServerOptions as NodeOptions,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";

import { PlatformError, toErrorBody } from "@headrace/contract";
import { ConfigurationError, portOf } from "@headrace/runtime";

import type { Headers } from "./answer.ts";
import { boundBody } from "./body-deadline.ts";
import type { CommonHeaders } from "./common-headers.ts";

/** What one connection may take. Tests shorten the times. */
export interface ConnectionLimits {
  /** How long a request's head may take, ms. */
  readonly headMs: number;
  /** How long a body may take, ms, unless it is handed on as it comes. */
  readonly requestMs: number;
  /** How long a caller may take nothing of an answer that is whole, ms. */
  readonly drainMs: number;
  /** How often requests are looked at for that, ms. */
  readonly lookMs: number;
  /** Connections open at once. */
  readonly connections: number;
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  // A head that takes longer is an attack or a dead line.
  headMs: 20_000,
  // 8 MiB over a slow line.
  requestMs: 120_000,
  drainMs: 30_000,
  lookMs: 5_000,
  connections: 20_000,
};

/** Longer than the 60 s after which AWS' load balancers drop an idle connection: they close first. */
const KEEP_ALIVE_MS = 75_000;
const MAX_HEAD_BYTES = 16_384;
/** Browsers and SDKs send about twenty. */
export const MOST_HEADERS = 100;
/** So that connections that never end spread over new processes in time. */
const REQUESTS_PER_CONNECTION = 10_000;

/** How long an answer's last bytes may take to leave a stopping process, ms. */
const LAST_BYTES_MS = 1_000;

interface ServerOptions {
  readonly onRequest: RequestListener;
  readonly commonHeaders: CommonHeaders;
  readonly limits: ConnectionLimits;
  /** Told of connections that are closed at once, since there are too many. */
  readonly onDropped: () => void;
}

/**
 * The API's port. It is left in three steps: callers are turned to other processes, no connection
 * is taken any more, and what is under way ends.
 */
export class HttpServer {
  readonly #server: Server;
  readonly #commonHeaders: CommonHeaders;
  readonly #closed = Promise.withResolvers<void>();
  #connections = 0;
  #requests = 0;
  #onQuiet: () => void = () => {};

  private constructor({ onRequest, commonHeaders, limits, onDropped }: ServerOptions) {
    this.#commonHeaders = commonHeaders;
    this.#server = createServer(toNodeOptions(limits), (request, response) => {
      this.#requests += 1;
      response.once("close", this.#onAnswered);
      // It was asked for ahead: the bound on the answer before it is not its own.
      if (response.socket === null) response.once("socket", (socket) => socket.setTimeout(0));
      boundBody(request, limits.requestMs, () => refuseLate(response, commonHeaders.plain));
      response.once("prefinish", () => boundDrain(response, limits.drainMs));
      onRequest(request, response);
    });
    // Node leaves out what is over this: one more shows that there were too many.
    this.#server.maxHeadersCount = MOST_HEADERS + 1;
    this.#server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION;
    this.#server.maxConnections = limits.connections;
    this.#server.on("drop", onDropped);
    this.#server.on("connection", (socket) => {
      this.#connections += 1;
      socket.once("close", () => (this.#connections -= 1));
    });
    this.#server.on("checkExpectation", (_request, response) =>
      refuseExpectation(response, commonHeaders.plain),
    );
    this.#server.on("clientError", (error, socket) =>
      refuseUnreadable(error, socket, commonHeaders.plain),
    );
  }

  /** Listen for requests. @throws ConfigurationError when the port cannot be had */
  static async listen(
    { host, port }: { readonly host: string; readonly port: number },
    options: ServerOptions,
  ): Promise<HttpServer> {
    const http = new HttpServer(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    http.#server.once("error", reject);
    http.#server.listen(port, host, resolve);
    await namePort({ host, port, variable: "INGRESS_PORT" }, promise);
    return http;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Connections open. */
  get connections(): number {
    return this.#connections;
  }

  /** Answer on, and close each connection with its answer: the next call goes elsewhere. */
  turnAway(): void {
    this.#commonHeaders.turnAway();
  }

  /** Accept no connection any more, and close those that are idle. */
  stopAccepting(): void {
    this.#server.close(() => this.#closed.resolve());
    this.#server.closeIdleConnections();
  }

  /** Let requests that are under way end, for so long, then close everything. No more is accepted. */
  async finish(withinMs: number): Promise<void> {
    if (this.#requests > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onQuiet = resolve;
      const timer = setTimeout(resolve, withinMs);
      await promise;
      clearTimeout(timer);
    }
    this.#server.closeIdleConnections();
    // Those left carry an answer's last bytes, or have never asked for anything.
    const timer = setTimeout(() => this.#server.closeAllConnections(), LAST_BYTES_MS);
    await this.#closed.promise;
    clearTimeout(timer);
  }

  readonly #onAnswered = (): void => {
    this.#requests -= 1;
    if (this.#requests === 0) this.#onQuiet();
  };
}

/**
 * Disconnect a caller that takes nothing of the answer's rest. Node sets the connection's timeout
 * anew once the answer is out.
 */
function boundDrain({ socket }: ServerResponse, drainMs: number): void {
  if (socket !== null && socket.writableLength > 0) socket.setTimeout(drainMs);
}

function toNodeOptions(limits: ConnectionLimits): NodeOptions {
  return {
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: limits.headMs,
    // Ours to keep (`boundBody`): Node has one bound for all requests.
    requestTimeout: 0,
    connectionsCheckingInterval: limits.lookMs,
    maxHeaderSize: MAX_HEAD_BYTES,
    // Ours to answer, in the shape of all errors.
    requireHostHeader: false,
    noDelay: true,
  };
}

/** Turn the failure to listen into what the operator can do about it. */
export async function namePort<Listening>(
  place: { readonly host: string; readonly port: number; readonly variable: string },
  listening: Promise<Listening>,
): Promise<Listening> {
  try {
    return await listening;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    const fault = code === "EADDRINUSE" ? "is taken" : `cannot be had (${String(code)})`;
    throw new ConfigurationError(
      `port ${place.port} of ${place.host} ${fault}; set ${place.variable} to another`,
      { cause: error },
    );
  }
}

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** End a request whose body takes too long. One that was answered already is only disconnected. */
function refuseLate(response: ServerResponse, headers: Headers): void {
  const { socket } = response;
  if (socket === null || response.headersSent) {
    socket?.destroy();
    return;
  }
  const late = new Error("the body takes too long");
  refuseUnreadable(Object.assign(late, { code: "ERR_HTTP_REQUEST_TIMEOUT" }), socket, headers);
}

/** Answer what is not HTTP, in the shape of all our errors: there is no request to hand on. */
function refuseUnreadable(error: Error, socket: Duplex, headers: Headers): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const code = "code" in error ? String(error.code) : "";
  const status = STATUS_BY_CODE[code] ?? 400;
  const refusal = new PlatformError(
    status === 431 ? "head_too_large" : "request_invalid",
    `the request cannot be read as HTTP (${code})`,
  );
  const { body, all } = toAnswer(refusal, headers);
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`);
}

/** Node has no other answer to what is expected of it than to do it. */
function refuseExpectation(response: ServerResponse, headers: Headers): void {
  const refusal = new PlatformError(
    "expectation_failed",
    "only Expect: 100-continue is understood; leave the header out",
  );
  const { body, all } = toAnswer(refusal, headers);
  response.writeHead(refusal.status, all);
  response.end(body);
}

/** An answer that is its connection's last. */
function toAnswer(
  refusal: PlatformError,
  headers: Headers,
): { readonly body: string; readonly all: Headers } {
  const body = JSON.stringify({ error: toErrorBody(refusal) });
  const all = {
    ...headers,
    "content-type": "application/json",
    "x-request-id": `req_${randomUUID()}`,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  return { body, all };
}
