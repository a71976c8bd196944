import { randomUUID } from "node:crypto";
import {
  createServer,
  STATUS_CODES,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";

import { PlatformError, toErrorBody } from "@headrace/contract";
import { ConfigurationError } from "@headrace/runtime";

import type { Headers } from "./answer.ts";

/** What one connection may take. Tests shorten the times. */
export interface ConnectionLimits {
  /** How long a request's head may take, ms. */
  readonly headMs: number;
  /** How long a whole request may take, ms. */
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

interface ServerOptions {
  readonly onRequest: RequestListener;
  /** Of the answers to what is no request. */
  readonly headers: Headers;
  readonly limits: ConnectionLimits;
  /** Told of connections that are closed at once, since there are too many. */
  readonly onDropped: () => void;
}

/** Listen for requests. @throws ConfigurationError when the port cannot be had */
export async function listen(
  { host, port }: { readonly host: string; readonly port: number },
  { onRequest, headers, limits, onDropped }: ServerOptions,
): Promise<Server> {
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: limits.headMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.lookMs,
      maxHeaderSize: MAX_HEAD_BYTES,
      // Ours to answer, in the shape of all errors.
      requireHostHeader: false,
      noDelay: true,
    },
    (request, response) => {
      response.once("prefinish", () => boundDrain(response, limits.drainMs));
      onRequest(request, response);
    },
  );
  // Node leaves out what is over this: one more shows that there were too many.
  server.maxHeadersCount = MOST_HEADERS + 1;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION;
  server.maxConnections = limits.connections;
  server.on("drop", onDropped);
  server.on("clientError", (error, socket) => refuseUnreadable(error, socket, headers));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, host, resolve);
  await namePort({ host, port, variable: "INGRESS_PORT" }, promise);
  return server;
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

/** Count a server's connections from now on. @returns what tells how many are open */
export function countConnections(server: Server): () => number {
  let count = 0;
  server.on("connection", (socket) => {
    count += 1;
    socket.once("close", () => (count -= 1));
  });
  return () => count;
}

/** Stop accepting, and close every connection once it is idle. */
export function stopAccepting(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  return promise;
}

/**
 * Disconnect a caller that takes nothing of the answer's rest. Node sets the connection's timeout
 * anew once the answer is out.
 */
function boundDrain({ socket }: ServerResponse, drainMs: number): void {
  if (socket !== null && socket.writableLength > 0) socket.setTimeout(drainMs);
}

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

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
  const body = JSON.stringify({ error: toErrorBody(refusal) });
  const all: Headers = {
    ...headers,
    "content-type": "application/json",
    "x-request-id": `req_${randomUUID()}`,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close",
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`);
}
