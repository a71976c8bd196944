import type { TenancyCase } from "./tenancy-cases.ts";

const endpoints = "/v1/webhook_endpoints";
const deliveries = "/v1/webhook_deliveries";
const endpointPath = (id: string): string => `${endpoints}/${encodeURIComponent(id)}`;
const deliveryPath = (id: string): string => `${deliveries}/${encodeURIComponent(id)}`;

/** Routes of webhooks, by method and path. What makes secrets is called so that it refuses to. */
export const WEBHOOK_TENANCY_CASES: Readonly<Record<string, TenancyCase>> = {
  [`POST ${endpoints}`]: {
    ids: "endpoint",
    calls: [(id) => ({ path: endpoints, body: { id, url: "https://a.example", event_types: [] } })],
  },
  [`GET ${endpoints}`]: {
    ids: "endpoint",
    calls: [
      () => ({ path: endpoints }),
      (id) => ({ path: `${endpoints}?after=${encodeURIComponent(id)}` }),
    ],
  },
  [`GET ${endpoints}/{id}`]: {
    ids: "endpoint",
    calls: [(id) => ({ path: endpointPath(id) })],
  },
  [`POST ${endpoints}/{id}`]: {
    ids: "endpoint",
    calls: [(id) => ({ path: endpointPath(id), body: { status: "disabled", name: "Taken" } })],
  },
  [`DELETE ${endpoints}/{id}`]: {
    ids: "endpoint",
    calls: [(id) => ({ path: endpointPath(id) })],
    usesUp: "own",
  },
  [`POST ${endpoints}/{id}/rotate_secret`]: {
    ids: "endpoint",
    calls: [
      (id) => ({ path: `${endpointPath(id)}/rotate_secret` }),
      (id) => ({
        path: `${endpointPath(id)}/rotate_secret`,
        body: { keep_old_secret_active_for_24_hours: true },
      }),
    ],
  },
  [`GET ${endpoints}/{id}/deliveries`]: {
    ids: "endpoint",
    calls: [
      (id) => ({ path: `${endpointPath(id)}/deliveries` }),
      (id, other) => ({
        path: `${endpointPath(id)}/deliveries?after=${other.ids.delivery[0] ?? ""}`,
      }),
    ],
  },
  [`POST ${endpoints}/{id}/replay`]: {
    ids: "endpoint",
    calls: [(id) => ({ path: `${endpointPath(id)}/replay`, body: { since: 0 } })],
  },
  "GET /v1/webhook_event_types": {
    ids: "tenant",
    calls: [() => ({ path: "/v1/webhook_event_types" })],
  },
  "GET /v1/webhook_secret": {
    ids: "tenant",
    calls: [() => ({ path: "/v1/webhook_secret" })],
  },
  "POST /v1/webhook_secret": {
    ids: "tenant",
    calls: [(id) => ({ path: "/v1/webhook_secret", body: { tenant: id } })],
  },
  [`GET ${deliveries}`]: {
    ids: "delivery",
    calls: [
      () => ({ path: deliveries }),
      (id) => ({ path: `${deliveries}?after=${encodeURIComponent(id)}` }),
    ],
  },
  [`GET ${deliveries}/{id}`]: {
    ids: "delivery",
    calls: [(id) => ({ path: deliveryPath(id) })],
  },
  [`POST ${deliveries}/{id}/replay`]: {
    ids: "delivery",
    calls: [(id) => ({ path: `${deliveryPath(id)}/replay` })],
  },
};
