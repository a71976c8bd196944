import {
  PlatformError,
  secretRotationSchema,
  WEBHOOK_EVENT_TYPES,
  webhookEndpointChangeSchema,
  webhookEndpointFormSchema,
  webhookReplayFormSchema,
  type WebhookDeliveryList,
  type WebhookEndpointDeleted,
  type WebhookEndpointList,
  type WebhookEventTypeList,
  type WebhookReplay,
} from "@headrace/contract";
import { validate } from "@headrace/endpoints";
import { AddressNotAllowed } from "@headrace/receivers";
import type { z } from "zod";

import { sendJson } from "./answer.ts";
import { handlersOf, type Answer } from "./handler.ts";
import { toPage } from "./page.ts";
import type { Caller } from "./caller.ts";
import { pathParameter, type Exchange, type Route } from "./exchange.ts";
import { deliveryQuerySchema, endpointQuerySchema } from "./query.ts";
import { readEmptyBody, readOptionalBody } from "./request-body.ts";
import type { Services } from "./services.ts";
import { toDelivery, toEndpoint, toNewEndpoint, toNewSecret, toSecret } from "./webhook-view.ts";

/** Webhook endpoints, secrets and deliveries. The endpoints' routes are OpenAI's. */
export function webhookRoutes(services: Services): Route[] {
  const handle = handlersOf(services);
  const endpoints = "/v1/webhook_endpoints";
  const deliveries = "/v1/webhook_deliveries";
  return [
    { path: endpoints, methods: { POST: handle(createEndpoint), GET: handle(listEndpoints) } },
    {
      path: `${endpoints}/{id}`,
      methods: {
        GET: handle(readEndpoint),
        POST: handle(updateEndpoint),
        DELETE: handle(deleteEndpoint),
      },
    },
    { path: `${endpoints}/{id}/rotate_secret`, methods: { POST: handle(rotateSecret) } },
    { path: `${endpoints}/{id}/deliveries`, methods: { GET: handle(listEndpointDeliveries) } },
    { path: `${endpoints}/{id}/replay`, methods: { POST: handle(replayFailed) } },
    { path: "/v1/webhook_event_types", methods: { GET: listEventTypes } },
    {
      path: "/v1/webhook_secret",
      methods: { GET: handle(readDefaultSecret), POST: handle(renewDefaultSecret) },
    },
    { path: deliveries, methods: { GET: handle(listJobDeliveries) } },
    { path: `${deliveries}/{id}`, methods: { GET: handle(readDelivery) } },
    { path: `${deliveries}/{id}/replay`, methods: { POST: handle(replayDelivery) } },
  ];
}

/**
 * Refuse a job's webhook that could not be delivered.
 *
 * @throws PlatformError `request_invalid` for a receiver that would never be sent to,
 *   `webhook_secret_missing` when there is nothing to sign with
 */
export async function assertDeliverable(
  services: Services,
  { tenant }: Caller,
  webhook: string | undefined,
): Promise<void> {
  if (webhook === undefined) return;
  assertReceiver(services, webhook, "webhook");
  if ((await services.broker.webhooks.findDefaultSecret(tenant)) !== null) return;
  throw new PlatformError(
    "webhook_secret_missing",
    "there is no secret to sign webhooks with; make one with POST /v1/webhook_secret, or `headrace webhooks secret`",
    { param: "webhook" },
  );
}

/** What it refuses whoever sends webhooks would refuse at every try. */
function assertReceiver({ receivers }: Services, url: string, param: string): void {
  try {
    receivers.assertUrl(new URL(url));
  } catch (error) {
    if (!(error instanceof AddressNotAllowed)) throw error;
    const message = `${param}: no webhook would ever be sent there: ${error.message}`;
    throw new PlatformError("request_invalid", message, { param, cause: error });
  }
}

function listEventTypes(exchange: Exchange): void {
  const body: WebhookEventTypeList = { object: "list", data: [...WEBHOOK_EVENT_TYPES] };
  sendJson(exchange, 200, { body });
}

const createEndpoint: Answer = async (services, exchange, { tenant }) => {
  const form = await readForm(services, exchange, webhookEndpointFormSchema);
  assertReceiver(services, form.url, "url");
  const record = await services.broker.webhooks.createEndpoint(tenant, form);
  sendJson(exchange, 200, { body: toNewEndpoint(record) });
};

const listEndpoints: Answer = async ({ broker }, exchange, { tenant }) => {
  const { limit, after } = validate(endpointQuerySchema, { ...exchange.request.query });
  const all = await broker.webhooks.listEndpoints(tenant);
  const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1;
  if (after !== undefined && from === 0) {
    const message = `there is no webhook endpoint ${after}`;
    throw new PlatformError("webhook_endpoint_not_found", message, { param: "after" });
  }
  const page = all.slice(from, from + limit);
  const hasMore = all.length > from + limit;
  const body: WebhookEndpointList = toPage(page.map(toEndpoint), hasMore);
  sendJson(exchange, 200, { body });
};

const readEndpoint: Answer = async ({ broker }, exchange, { tenant }) => {
  const record = await broker.webhooks.getEndpoint(tenant, idOf(exchange));
  sendJson(exchange, 200, { body: toEndpoint(record) });
};

const updateEndpoint: Answer = async (services, exchange, { tenant }) => {
  const change = await readForm(services, exchange, webhookEndpointChangeSchema);
  if (change.url !== undefined) assertReceiver(services, change.url, "url");
  const { webhooks } = services.broker;
  const record = await webhooks.updateEndpoint(tenant, idOf(exchange), change);
  sendJson(exchange, 200, { body: toEndpoint(record) });
};

const deleteEndpoint: Answer = async ({ broker }, exchange, { tenant }) => {
  const id = idOf(exchange);
  await broker.webhooks.deleteEndpoint(tenant, id);
  const body: WebhookEndpointDeleted = { id, object: "webhook_endpoint.deleted", deleted: true };
  sendJson(exchange, 200, { body });
};

const rotateSecret: Answer = async (services, exchange, { tenant }) => {
  const { webhooks } = services.broker;
  const keepOld = await readKeepOld(services, exchange);
  const record = await webhooks.rotateSecret(tenant, idOf(exchange), keepOld);
  sendJson(exchange, 200, { body: toNewEndpoint(record) });
};

const readDefaultSecret: Answer = async ({ broker }, exchange, { tenant }) => {
  const record = await broker.webhooks.findDefaultSecret(tenant);
  if (record === null) {
    throw new PlatformError(
      "webhook_secret_not_found",
      "there is no secret for the webhooks of single jobs yet; POST makes one",
    );
  }
  sendJson(exchange, 200, { body: toSecret(record) });
};

const renewDefaultSecret: Answer = async (services, exchange, { tenant }) => {
  const keepOld = await readKeepOld(services, exchange);
  const record = await services.broker.webhooks.renewDefaultSecret(tenant, keepOld);
  sendJson(exchange, 200, { body: toNewSecret(record) });
};

const listEndpointDeliveries: Answer = async (services, exchange, caller) =>
  listDeliveries(services, exchange, { caller, endpoint: idOf(exchange) });

const listJobDeliveries: Answer = async (services, exchange, caller) =>
  listDeliveries(services, exchange, { caller, endpoint: null });

const readDelivery: Answer = async ({ broker }, exchange, { tenant }) => {
  const found = await broker.webhooks.getDelivery(tenant, idOf(exchange));
  sendJson(exchange, 200, { body: toDelivery(found) });
};

const replayDelivery: Answer = async (services, exchange, { tenant }) => {
  await readEmptyBody(exchange.request, services.bodyLimitBytes);
  const found = await services.broker.webhooks.replayDelivery(tenant, idOf(exchange));
  sendJson(exchange, 200, { body: toDelivery(found) });
};

const replayFailed: Answer = async (services, exchange, { tenant }) => {
  const { since = 0 } = await readForm(services, exchange, webhookReplayFormSchema);
  const { webhooks } = services.broker;
  const replayed = await webhooks.replayFailed(tenant, idOf(exchange), since * 1_000);
  const body: WebhookReplay = { object: "webhook_replay", replayed };
  sendJson(exchange, 200, { body });
};

async function listDeliveries(
  { broker }: Services,
  exchange: Exchange,
  { caller, endpoint }: { readonly caller: Caller; readonly endpoint: string | null },
): Promise<void> {
  const query = validate(deliveryQuerySchema, { ...exchange.request.query });
  const { deliveries, hasMore } = await broker.webhooks.listDeliveries(caller.tenant, {
    endpoint,
    status: query.status ?? null,
    limit: query.limit,
    after: query.after ?? null,
  });
  const body: WebhookDeliveryList = toPage(deliveries.map(toDelivery), hasMore);
  sendJson(exchange, 200, { body });
}

async function readForm<Form>(
  { bodyLimitBytes }: Services,
  { request }: Exchange,
  schema: z.ZodType<Form>,
): Promise<Form> {
  return validate(schema, await readOptionalBody(request, bodyLimitBytes));
}

async function readKeepOld(services: Services, exchange: Exchange): Promise<boolean> {
  const form = await readForm(services, exchange, secretRotationSchema);
  return form.keep_old_secret_active_for_24_hours ?? false;
}

function idOf(exchange: Exchange): string {
  return pathParameter(exchange, "id");
}
