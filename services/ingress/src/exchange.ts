import type { Request, Response } from "express";

import type { Headers } from "./answer.ts";
import type { Caller } from "./caller.ts";

/** One request and its answer, as handlers get them. */
export interface Exchange {
  readonly request: Request;
  readonly response: Response;
  /** The route's path template: what metrics and logs call it. */
  readonly route: string;
  /** On whose behalf it is; "" where no key is needed, or none was presented. */
  tenant: string;
  /** The caller's own id for the request where it sent a sane one. */
  readonly requestId: string;
  /** Headers that its answer has, whatever it says. */
  readonly commonHeaders: Headers;
  /** Headers that its answer gains on the way to it, whatever it says; not to be changed once it is sent. */
  readonly gainedHeaders: Record<string, string>;
  /** Whether the answer says in `x-process-time` how long it took. */
  readonly isTimed: boolean;
  /** When the request's head had come, on the process' monotonic clock. */
  readonly arrivedAtMs: number;
}

/**
 * Answers one kind of request on its caller's behalf; resolves when the answer is over. A rejection
 * becomes an error.
 */
export type Handler = (exchange: Exchange, caller: Caller) => Promise<void> | void;

/** The same for a request that needs no key. */
type OpenHandler = (exchange: Exchange) => Promise<void> | void;

interface Place {
  /** As OpenAPI writes it: `/v1/jobs/{id}`. */
  readonly path: string;
  /** The same for Express where it cannot be derived. */
  readonly pattern?: string;
  /** Whether what it is sent is handed on as it comes, and so may be long and take long. */
  readonly streamsBody?: true;
  /** Whether what it makes counts against no limit a minute, of which it tells as what is read does. */
  readonly isUnlimited?: true;
  /** Whether load balancers ask it, whom no limit may turn away: it must cost next to nothing. */
  readonly isProbe?: true;
  /** Whether what is read may take long, since a GET waits or streams: then it takes no turn as a whole. */
  readonly isHeldOpen?: true;
  /** Whether its answers say how long they took. */
  readonly isTimed?: true;
}

/** A path, and what answers each method on it to whoever has a key with the scope for it. */
export interface KeyedRoute extends Place {
  readonly isOpen?: never;
  /** What the audit log calls each method, on a path of the operator's. */
  readonly actions?: Readonly<Partial<Record<Method, string>>>;
  readonly methods: Readonly<Partial<Record<Method, Handler>>>;
}

/** A path that is answered without a key. */
interface OpenRoute extends Place {
  readonly isOpen: true;
  readonly methods: Readonly<Partial<Record<Method, OpenHandler>>>;
}

export type Route = KeyedRoute | OpenRoute;

/** The methods that routes may answer; HEAD is made of GET. */
export const METHODS = ["GET", "POST", "DELETE"] as const;
export type Method = (typeof METHODS)[number];

/**
 * Be told once the connection is done with the answer: at once where it is already, since a caller
 * may hang up while its request is being looked into.
 */
export function onceClosed({ response }: Exchange, onClosed: () => void): void {
  if (response.closed) onClosed();
  else response.once("close", onClosed);
}

/** Read a path parameter. A wildcard's parts are joined again: model names contain slashes. */
export function pathParameter({ request }: Exchange, name: string): string {
  const value = request.params[name] ?? "";
  return Array.isArray(value) ? value.join("/") : value;
}
