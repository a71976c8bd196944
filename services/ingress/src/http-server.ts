import { randomUUID } from "node:crypto";
import { createServer, STATUS_CODES, type RequestListener, type Server } from "node:http";
import type { Duplex } from "node:stream";

import { ConfigurationError } from "@headrace/runtime";

import type { Headers } from "./answer.ts";

/** Longer than the 60 s after which AWS' load balancers drop an idle connection: they close first. */
const KEEP_ALIVE_MS = 75_000;
/** A head that takes longer is an attack or a dead line. */
const HEADERS_MS = 20_000;
/** 8 MiB over a slow line. */
const REQUEST_MS = 120_000;
const MAX_HEAD_BYTES = 16_384;

interface ServerOptions {
  readonly onRequest: RequestListener;
  /** Of the answers to what is no request. */
  readonly headers: Headers;
}

/** Listen for requests. @throws ConfigurationError when the port cannot be had */
export async function listen(
  { host, port }: { readonly host: string; readonly port: number },
  { onRequest, headers }: ServerOptions,
): Promise<Server> {
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      maxHeaderSize: MAX_HEAD_BYTES,
      noDelay: true,
    },
    onRequest,
  );
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

/** Stop accepting, and close every connection once it is idle. */
export function stopAccepting(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  return promise;
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
  const message = `the request cannot be read as HTTP (${code})`;
  const body = JSON.stringify({
    error: { message, type: "invalid_request_error", param: null, code: "request_invalid" },
  });
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
