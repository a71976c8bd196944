import type { Request, Response } from "express";

/** One request and its answer, as handlers get them. */
export interface Exchange {
  readonly request: Request;
  readonly response: Response;
  /** The route's path template: what metrics and logs call it. */
  readonly route: string;
  /** The caller's own id for the request where it sent a sane one. */
  readonly requestId: string;
  /** When the request's head had come, on the process' monotonic clock. */
  readonly arrivedAtMs: number;
}

/**
 * Answers one kind of request, on behalf of a tenant ("" on a route open to all); resolves when the
 * answer is over. A rejection becomes an error.
 */
export type Handler = (exchange: Exchange, tenant: string) => Promise<void> | void;

/** A path, and what answers each method on it. */
export interface Route {
  /** As OpenAPI writes it: `/v1/jobs/{id}`. */
  readonly path: string;
  /** The same for Express where it cannot be derived. */
  readonly pattern?: string;
  /** Whether it is answered without a key. */
  readonly isOpen?: true;
  readonly methods: Readonly<Partial<Record<Method, Handler>>>;
}

export type Method = "GET" | "POST" | "DELETE";

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
