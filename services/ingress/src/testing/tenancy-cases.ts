import { vi } from "vitest";

import { MODEL } from "./simulated-worker.ts";
import type { Call, IdKind, Side } from "./tenancy.ts";
import { BATCH_TENANCY_CASES } from "./batch-tenancy-cases.ts";
import { WEBHOOK_TENANCY_CASES } from "./webhook-tenancy-cases.ts";

/** Longest that counting an ended job may take. */
const COUNTED_MS = 4_000;

/** How one route can be called with an id in it. */
export interface TenancyCase {
  /** What kind of id it takes: `Side.ids` has each tenant's, `UNKNOWN` makes nobody's. */
  readonly ids: IdKind;
  /** Every place that an id can stand in. `other` is whose id it may be. */
  readonly calls: readonly ((id: string, other: Side) => Call)[];
  /**
   * Whose id a call uses up, so that it is made anew for each: the caller's own where the call ends
   * what it names, the other's where the caller comes to own it too.
   */
  readonly usesUp?: "own" | "foreign";
  /**
   * Which of its answers may wait for what never comes: those about the caller's own, or all. They
   * are read for a moment only, and fewer are made.
   */
  readonly held?: "own" | "all";
  /** Resolves once a tenant has what the route tells. */
  readonly whenReady?: (side: Side) => Promise<void>;
}

const messagesOf = (other: Side): object[] => [{ role: "user", content: `${other.tenant}-prompt` }];

/** The request that the other tenant made, made again in the hope of its answer. */
const submitOf = (other: Side): object => ({
  endpoint: "/v1/chat/completions",
  request: { model: MODEL, messages: messagesOf(other) },
  metadata: { whose: `${other.tenant}-metadata` },
});

/** An Idempotency-Key, and what OpenAI's SDK says when it tries again. */
const repeat = (id: string): Record<string, string> => ({
  "idempotency-key": encodeURIComponent(id),
  "x-stainless-retry-count": "1",
});

const jobPath = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}`;

const responsePath = (id: string): string => `/v1/responses/${encodeURIComponent(id)}`;

/**
 * Every route that takes a key, by method and path, but for the operator's. A route without a line
 * here fails a test: add one, and to `Side.make` what the route makes a tenant own.
 */
export const TENANCY_CASES: Readonly<Record<string, TenancyCase>> = {
  ...WEBHOOK_TENANCY_CASES,
  ...BATCH_TENANCY_CASES,
  "POST /v1/jobs": {
    ids: "idempotencyKey",
    calls: [(id, other) => ({ path: "/v1/jobs", body: submitOf(other), headers: repeat(id) })],
    usesUp: "foreign",
  },
  "GET /v1/jobs": {
    ids: "job",
    calls: [
      (id) => ({ path: `/v1/jobs?after=${encodeURIComponent(id)}` }),
      (id) => ({ path: `/v1/jobs?limit=100&status=completed&after=${encodeURIComponent(id)}` }),
      () => ({ path: "/v1/jobs?limit=100" }),
    ],
  },
  "GET /v1/jobs/{id}": {
    ids: "job",
    calls: [(id) => ({ path: jobPath(id) }), (id) => ({ path: `${jobPath(id)}?wait=60` })],
    held: "own",
  },
  "DELETE /v1/jobs/{id}": { ids: "job", calls: [(id) => ({ path: jobPath(id) })], usesUp: "own" },
  "GET /v1/jobs/{id}/events": {
    ids: "job",
    calls: [
      (id) => ({ path: `${jobPath(id)}/events` }),
      (id) => ({ path: `${jobPath(id)}/events?starting_after=1-1` }),
      (id) => ({ path: `${jobPath(id)}/events`, headers: { "last-event-id": "1-2" } }),
    ],
    held: "own",
  },
  "POST /v1/jobs/{id}/cancel": {
    ids: "job",
    calls: [(id) => ({ path: `${jobPath(id)}/cancel` })],
    usesUp: "own",
  },
  "POST /v1/jobs/{id}/retry": {
    ids: "job",
    calls: [
      (id) => ({ path: `${jobPath(id)}/retry` }),
      (id, other) => ({
        path: `${jobPath(id)}/retry`,
        headers: repeat(other.ids.idempotencyKey[0] ?? ""),
      }),
    ],
    usesUp: "own",
  },
  "GET /v1/jobs/{id}/timeline": {
    ids: "job",
    calls: [(id) => ({ path: `${jobPath(id)}/timeline` })],
  },
  "GET /v1/jobs/{id}/latency": {
    ids: "job",
    calls: [(id) => ({ path: `${jobPath(id)}/latency` })],
  },
  "POST /v1/responses": {
    ids: "idempotencyKey",
    calls: [
      (id, other) => ({
        path: "/v1/responses",
        body: { model: MODEL, input: `${other.tenant}-prompt`, background: true },
        headers: repeat(id),
      }),
    ],
    usesUp: "foreign",
  },
  "GET /v1/responses/{id}": {
    ids: "response",
    calls: [
      (id) => ({ path: responsePath(id) }),
      (id) => ({ path: `${responsePath(id)}?stream=true` }),
      (id) => ({ path: `${responsePath(id)}?stream=true&starting_after=3` }),
    ],
    held: "own",
  },
  "GET /v1/responses/{id}/input_items": {
    ids: "response",
    calls: [
      (id) => ({ path: `${responsePath(id)}/input_items` }),
      (id) => ({ path: `${responsePath(id)}/input_items?after=${encodeURIComponent(id)}` }),
    ],
  },
  "POST /v1/responses/{id}/cancel": {
    ids: "response",
    calls: [(id) => ({ path: `${responsePath(id)}/cancel` })],
    usesUp: "own",
  },
  "DELETE /v1/responses/{id}": {
    ids: "response",
    calls: [(id) => ({ path: responsePath(id) })],
    usesUp: "own",
  },
  "POST /generate": {
    ids: "idempotencyKey",
    calls: [
      (id, other) => ({
        path: "/generate",
        body: { prompt: `${other.tenant}-prompt` },
        headers: repeat(id),
      }),
    ],
    usesUp: "foreign",
    held: "all",
  },
  "GET /model/info": {
    ids: "tenant",
    calls: [(id) => ({ path: `/model/info?model=${encodeURIComponent(id)}` })],
  },
  "POST /v1/chat/completions": {
    ids: "idempotencyKey",
    calls: [
      (id, other) => ({
        path: "/v1/chat/completions",
        body: { model: MODEL, messages: messagesOf(other) },
        headers: repeat(id),
      }),
    ],
    usesUp: "foreign",
    held: "all",
  },
  "POST /v1/completions": {
    ids: "idempotencyKey",
    calls: [
      (id, other) => ({
        path: "/v1/completions",
        body: { model: MODEL, prompt: `${other.tenant}-prompt` },
        headers: repeat(id),
      }),
    ],
    usesUp: "foreign",
    held: "all",
  },
  "POST /v1/embeddings": {
    ids: "idempotencyKey",
    calls: [
      (id, other) => ({
        path: "/v1/embeddings",
        body: { model: MODEL, input: `${other.tenant}-prompt` },
        headers: repeat(id),
      }),
    ],
    usesUp: "foreign",
    held: "all",
  },
  "GET /v1/models": { ids: "tenant", calls: [() => ({ path: "/v1/models" })] },
  "GET /v1/models/{model}": {
    ids: "tenant",
    calls: [(id) => ({ path: `/v1/models/${encodeURIComponent(id)}` })],
  },
  "GET /v1/usage": {
    ids: "tenant",
    calls: [
      (id) => ({ path: `/v1/usage?tenant=${encodeURIComponent(id)}` }),
      () => ({ path: "/v1/usage?group_by=key,model" }),
    ],
    whenReady: ({ client, keyId }) =>
      vi.waitFor(async () => {
        const { text } = await client.call("GET", "/v1/usage");
        if (!text.includes(keyId)) throw new Error("nothing is counted yet");
      }, COUNTED_MS),
  },
};

/** Whether a route is the operator's: `operatorCase` is the case of each. */
export function isOperators(path: string): boolean {
  return path.startsWith("/admin/");
}

/** The operator's routes: no tenant's key may call them, whatever it names. */
export function operatorCase(path: string): TenancyCase {
  return {
    ids: path.includes("{tenant}") ? "tenant" : "key",
    calls: [
      (id) => ({ path: path.replace(/\{\w+\}/, encodeURIComponent(id)) }),
      (id) => ({ path: `${path.replace(/\{\w+\}/, "00000000")}?after=${encodeURIComponent(id)}` }),
    ],
  };
}
