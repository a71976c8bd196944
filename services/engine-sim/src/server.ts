import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError } from "./api-error.ts";
import { Engine } from "./engine.ts";
import { FaultBook } from "./faults.ts";
import { generationRoutes } from "./generation-routes.ts";
import { sendJson } from "./http-body.ts";
import { plainRoutes } from "./plain-routes.ts";
import type { Routes, Service } from "./service.ts";
import { engineOptions, type EngineSimOptions, fillSettings } from "./settings.ts";

/** How long an idle connection is kept, in ms: uvicorn's default, which vLLM keeps. */
const KEEP_ALIVE_MS = 5_000;

/** A running engine. */
export interface EngineSim {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Stop listening, break off what is running, and resolve when nothing is left. */
  close(): Promise<void>;
}

/**
 * Start an engine and resolve once it listens.
 *
 * Aborting `signal` before that gives up the start; the promise rejects with the signal's reason,
 * or with the system's error when the address cannot be had.
 */
export async function startEngineSim(
  options: EngineSimOptions = {},
  signal?: AbortSignal,
): Promise<EngineSim> {
  const settings = fillSettings(options);
  if (settings.startupMs > 0) {
    await sleep(settings.startupMs, undefined, signal === undefined ? {} : { signal });
  }
  const derived = engineOptions(settings);
  const [first = settings.model, ...others] = settings.servedModelName;
  const service: Service = {
    settings,
    engine: new Engine(derived),
    faults: new FaultBook(),
    maxModelLen: derived.maxModelLen,
    modelNames: [first, ...others],
  };
  const server = serve({ ...generationRoutes(service), ...plainRoutes(service) });
  server.listen(settings.port, settings.host);
  await once(server, "listening");
  const port = portOf(server);
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  return { url: `http://${host}:${port}`, port, close: async () => close(server, service.engine) };
}

function serve(routes: Routes): Server {
  const paths = new Set(Object.keys(routes).map((route) => route.split(" ")[1]));
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true });
  server.on("request", (request, response) => {
    const arrivedAtMs = performance.now();
    const [path = ""] = (request.url ?? "").split("?");
    const handler = routes[`${request.method} ${path}`];
    const answer = async (): Promise<void> => {
      if (handler !== undefined) await handler({ request, response, path, arrivedAtMs });
      else if (paths.has(path)) throw new ApiError(405, "Method Not Allowed");
      else throw new ApiError(404, "Not Found");
    };
    answer().catch((error: unknown) => refuse(error, request, response));
  });
  return server;
}

function refuse(error: unknown, request: IncomingMessage, response: ServerResponse): void {
  if (response.destroyed) return;
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (!(error instanceof ApiError)) process.stderr.write(`${errorText(error)}\n`);
  const refusal = error instanceof ApiError ? error : new ApiError(500, "Internal server error");
  if (refusal.retryAfterSeconds !== null) {
    response.setHeader("retry-after", String(refusal.retryAfterSeconds));
  }
  // The rest of a body that was not read to its end would be taken for the next request.
  if (!request.complete) response.setHeader("connection", "close");
  sendJson(response, refusal.status, refusal.body);
}

function errorText(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("listening on no port");
  return address.port;
}

async function close(server: Server, engine: Engine): Promise<void> {
  const closed = once(server, "close");
  server.close();
  engine.close();
  server.closeAllConnections();
  await closed;
}
