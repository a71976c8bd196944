import { randomUUID } from "node:crypto";

import { PlatformError } from "@headrace/contract";
import express, { type Express, type NextFunction, type Request, type Response } from "express";

import type { AddressLimit } from "./address-limit.ts";
import { sendError, toErrorAnswer, toPlatformError, writeHead, type Headers } from "./answer.ts";
import type { Authentication } from "./authentication.ts";
import type { BodyShares } from "./body-shares.ts";
import { scopesFor, type Caller } from "./caller.ts";
import { clientAddressOf } from "./client-address.ts";
import type { CommonHeaders } from "./common-headers.ts";
import type { Events } from "./events.ts";
import type { Exchange, Method, Route } from "./exchange.ts";
import type { OpenCalls } from "./open-calls.ts";
import { dropUnread } from "./request-body.ts";
import { assertHeadBounded } from "./request-head.ts";
import type { TenantTurns } from "./tenant-turns.ts";

/** A caller's own request id is taken when it can be logged and sent back without harm. */
const SANE_REQUEST_ID = /^[\w.:-]{1,128}$/;
/** What metrics call a path that is no route: callers must not be able to make series. */
const NO_ROUTE = "none";

/** The first status that says that the failure is not the caller's. */
const SERVER_FAILED = 500;

/** What every request passes through. */
export interface Gate {
  readonly authentication: Authentication;
  readonly events: Events;
  readonly commonHeaders: CommonHeaders;
  readonly bodyLimitBytes: number;
  readonly openCalls: OpenCalls;
  readonly bodies: BodyShares;
  /** Null where an address may ask as often as it likes. */
  readonly addressLimit: AddressLimit | null;
  /** What is read takes turns, of each tenant. */
  readonly reads: TenantTurns;
  /** Addresses, networks, or names of such: proxies that are believed where a caller is. */
  readonly trustedProxies: readonly string[];
  /** Told of a call that makes no job, before it is answered. */
  readonly onReading: (exchange: Exchange, caller: Caller) => Promise<void>;
  /** Told of a call of the operator's that comes with a key without the scope for it. */
  readonly onDenied: (exchange: Exchange, caller: Caller, action: string) => Promise<void>;
}

/**
 * Build the Express application that serves the routes.
 *
 * There is no chain of middleware: one function per route does what all requests need, once.
 */
export function createApp(routes: readonly Route[], gate: Gate): Express {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.set("case sensitive routing", true);
  app.set("strict routing", true);
  app.set("trust proxy", [...gate.trustedProxies]);
  for (const route of routes) {
    const pattern = route.pattern ?? route.path.replaceAll(/\{(\w+)\}/g, ":$1");
    app.all(pattern, (request, response) =>
      serve({ ...placeOf(route), request, response }, gate, (exchange) =>
        dispatch(exchange, route, gate),
      ),
    );
  }
  app.use((request, response) => serve({ request, response, route: NO_ROUTE }, gate, refusePath));
  // Express tells an error handler by its four parameters. Only a path that cannot be decoded
  // comes here: handlers' own failures are answered by `serve`.
  app.use((_error: unknown, request: Request, response: Response, _next: NextFunction) =>
    serve({ request, response, route: NO_ROUTE }, gate, refusePath),
  );
  return app;
}

type Call = Pick<Exchange, "request" | "response" | "route"> & Pick<Route, "isTimed" | "isProbe">;

function placeOf({ path, isTimed, isProbe }: Route): Omit<Call, "request" | "response"> {
  return {
    route: path,
    ...(isTimed === undefined ? {} : { isTimed }),
    ...(isProbe === undefined ? {} : { isProbe }),
  };
}

function openExchange(call: Call, commonHeaders: CommonHeaders): Exchange {
  const sent = call.request.headers["x-request-id"];
  const requestId =
    typeof sent === "string" && SANE_REQUEST_ID.test(sent) ? sent : `req_${randomUUID()}`;
  return {
    ...call,
    tenant: "",
    isTimed: call.isTimed === true,
    requestId,
    get commonHeaders() {
      return commonHeaders.of(call.request);
    },
    gainedHeaders: {},
    arrivedAtMs: performance.now(),
  };
}

async function serve(
  call: Call,
  { events, commonHeaders, bodyLimitBytes, addressLimit }: Gate,
  handler: (exchange: Exchange) => Promise<void> | void,
): Promise<void> {
  const exchange = openExchange(call, commonHeaders);
  events.requestArrived();
  try {
    if (call.isProbe !== true) addressLimit?.admit(clientAddressOf(exchange));
    assertHeadBounded(exchange.request);
    const preflight = commonHeaders.findPreflight(exchange.request);
    if (preflight === null) await handler(exchange);
    else sendNothing(exchange, preflight);
  } catch (failure) {
    const error = toPlatformError(failure);
    events.errorAnswered(exchange, error);
    if (exchange.response.headersSent) exchange.response.destroy();
    else sendError(exchange, error.status, toErrorAnswer(error));
  } finally {
    dropUnread(exchange.request, bodyLimitBytes);
    events.requestAnswered(exchange);
  }
}

function sendNothing(exchange: Exchange, headers: Headers): void {
  writeHead(exchange, 204, headers);
  exchange.response.end();
}

async function dispatch(exchange: Exchange, route: Route, gate: Gate): Promise<void> {
  const { method } = exchange.request;
  if (route.isOpen === true) {
    // The head of pages only: the head of a stream would be a stream.
    const handler = findHandler(route.methods, method === "HEAD" ? "GET" : method);
    return handler === undefined ? refuseMethod(exchange, route) : handler(exchange);
  }
  const caller = await authenticate(exchange, gate);
  exchange.tenant = caller.tenant;
  gate.openCalls.enter(caller, exchange);
  const handler = findHandler(route.methods, method);
  if (handler === undefined) return refuseMethod(exchange, route);
  const scopes = scopesFor(method, route.path);
  const [scope] = scopes;
  if (scopes.every((each) => caller.scopes.has(each))) {
    if (route.streamsBody !== true) gate.bodies.enter(caller.tenant, exchange.request);
    const answer = (): Promise<void> | void => handler(exchange, caller);
    const tellLimits = (): Promise<void> => gate.onReading(exchange, caller);
    if (scope === "submit" && route.isUnlimited !== true) {
      return answerMaking(exchange, answer, tellLimits);
    }
    if (scope !== "admin") await tellLimits();
    if (method !== "GET" || route.isHeldOpen === true) return answer();
    return gate.reads.take(caller.tenant, answer);
  }
  if (scope === "admin") {
    const action = findHandler(route.actions ?? {}, method) ?? `${method} ${route.path}`;
    await gate.onDenied(exchange, caller, action);
  }
  return refuseScope(
    caller,
    `${method} ${route.path} needs a key with the scope ${scopes.join(" and ")}`,
  );
}

/** Whoever makes jobs is told of its limits by what books them; by one that is refused before, here. */
async function answerMaking(
  { gainedHeaders, response }: Exchange,
  answer: () => Promise<void> | void,
  tellLimits: () => Promise<void>,
): Promise<void> {
  try {
    await answer();
  } catch (error) {
    const isTold = response.headersSent || "ratelimit" in gainedHeaders;
    if (!isTold && toPlatformError(error).status < SERVER_FAILED) await tellLimits();
    throw error;
  }
}

async function authenticate(
  exchange: Exchange,
  { authentication, addressLimit }: Gate,
): Promise<Caller> {
  try {
    return await authentication.authenticate(exchange.request.headers.authorization);
  } catch (error) {
    const isWrongKey = error instanceof PlatformError && error.code === "api_key_invalid";
    if (isWrongKey) addressLimit?.countWrongKey(clientAddressOf(exchange));
    throw error;
  }
}

function findHandler<Each>(
  methods: Readonly<Partial<Record<Method, Each>>>,
  method: string,
): Each | undefined {
  switch (method) {
    case "GET":
    case "POST":
    case "DELETE":
      return methods[method];
    default:
      return undefined;
  }
}

function refuseMethod({ response }: Exchange, { path, methods }: Route): never {
  const allowed = Object.keys(methods).join(", ");
  response.setHeader("allow", allowed);
  throw new PlatformError("method_not_allowed", `${path} takes ${allowed}`);
}

function refuseScope({ scopes }: Caller, need: string): never {
  const has = [...scopes].join(", ");
  throw new PlatformError("scope_missing", `${need}; this one has ${has}`);
}

function refusePath(): never {
  throw new PlatformError("route_not_found", "there is no such path; see /docs");
}
