import type { KeyRecord } from "@headrace/broker";
import {
  findKeyId,
  keyCreateSchema,
  keyRotateSchema,
  keyUpdateSchema,
  type ApiKey,
  type KeyDeleted,
  type KeyList,
  type NewKey,
} from "@headrace/contract";
import { validate } from "@headrace/endpoints";

import { adminRoute, type AdminHandler } from "./admin-route.ts";
import { sendJson } from "./answer.ts";
import { toPage } from "./page.ts";
import { pathParameter, type Exchange, type Route } from "./exchange.ts";
import { toSeconds } from "./job-view.ts";
import { keyListQuerySchema } from "./query.ts";
import { readEmptyBody, readJsonBody, readOptionalBody } from "./request-body.ts";
import type { Services } from "./services.ts";
import { readIdempotencyKey } from "./submission-form.ts";

/** The operator's API for keys. */
export function keyRoutes(services: Services): Route[] {
  return [
    adminRoute(services, "/admin/v1/keys", {
      POST: { action: "key.create", answer: createKey },
      GET: { action: "key.list", answer: listKeys },
    }),
    adminRoute(services, "/admin/v1/keys/{id}", {
      GET: { action: "key.read", answer: readKey },
      POST: { action: "key.update", answer: updateKey },
      DELETE: { action: "key.delete", answer: deleteKey },
    }),
    adminRoute(services, "/admin/v1/keys/{id}/rotate", {
      POST: { action: "key.rotate", answer: rotateKey },
    }),
    adminRoute(services, "/admin/v1/keys/{id}/revoke", {
      POST: { action: "key.revoke", answer: revokeKey },
    }),
  ];
}

const createKey: AdminHandler = async ({ broker, bodyLimitBytes }, exchange, note) => {
  const idempotencyKey = readIdempotencyKey(exchange.request.headers["idempotency-key"]);
  const form = validate(keyCreateSchema, await readJsonBody(exchange.request, bodyLimitBytes));
  const { record, key } = await broker.apiKeys.create(note, {
    name: form.name,
    tenant: form.tenant,
    scopes: form.scopes,
    limits: form.limits ?? null,
    expiresAt: form.expires_at ?? null,
    idempotencyKey,
  });
  const body: NewKey = { ...toApiKey(record), key };
  sendJson(exchange, 201, { body, headers: { location: `/admin/v1/keys/${record.id}` } });
};

const listKeys: AdminHandler = async ({ broker }, exchange) => {
  const query = validate(keyListQuerySchema, { ...exchange.request.query });
  const { keys, hasMore } = await broker.apiKeys.list({
    tenant: query.tenant ?? null,
    limit: query.limit,
    after: query.after ?? null,
  });
  const data = keys.map(toApiKey);
  const body: KeyList = toPage(data, hasMore);
  sendJson(exchange, 200, { body });
};

const readKey: AdminHandler = async ({ broker }, exchange) => {
  sendJson(exchange, 200, { body: toApiKey(await broker.apiKeys.get(keyIdOf(exchange))) });
};

const updateKey: AdminHandler = async ({ broker, bodyLimitBytes }, exchange, note) => {
  const fields = validate(keyUpdateSchema, await readJsonBody(exchange.request, bodyLimitBytes));
  const record = await broker.apiKeys.update(note, keyIdOf(exchange), fields);
  sendJson(exchange, 200, { body: toApiKey(record) });
};

const deleteKey: AdminHandler = async ({ broker }, exchange, note) => {
  const id = keyIdOf(exchange);
  await broker.apiKeys.delete(note, id);
  const body: KeyDeleted = { id, object: "api_key", deleted: true };
  sendJson(exchange, 200, { body });
};

const rotateKey: AdminHandler = async ({ broker, bodyLimitBytes }, exchange, note) => {
  const form = validate(keyRotateSchema, await readOptionalBody(exchange.request, bodyLimitBytes));
  const overlapMs = Math.round(form.overlap_seconds * 1_000);
  const { record, key } = await broker.apiKeys.rotate(note, keyIdOf(exchange), overlapMs);
  const body: NewKey = { ...toApiKey(record), key };
  sendJson(exchange, 200, { body });
};

const revokeKey: AdminHandler = async ({ broker, bodyLimitBytes }, exchange, note) => {
  await readEmptyBody(exchange.request, bodyLimitBytes);
  sendJson(exchange, 200, { body: toApiKey(await broker.apiKeys.revoke(note, keyIdOf(exchange))) });
};

/** A key is often at hand as a whole: its id is in it. */
function keyIdOf(exchange: Exchange): string {
  const named = pathParameter(exchange, "id");
  return findKeyId(named) ?? named;
}

function toApiKey(record: KeyRecord): ApiKey {
  return {
    id: record.id,
    object: "api_key",
    name: record.name,
    tenant: record.tenant,
    scopes: record.scopes,
    limits: record.limits,
    status: record.status,
    created_at: toSeconds(record.createdAtMs),
    expires_at: toSecondsOrNull(record.expiresAtMs),
    last_used_at: toSecondsOrNull(record.lastUsedAtMs),
    rotated_at: toSecondsOrNull(record.rotatedAtMs),
    overlap_ends_at: toSecondsOrNull(record.overlapEndsAtMs),
    revoked_at: toSecondsOrNull(record.revokedAtMs),
  };
}

function toSecondsOrNull(ms: number | null): number | null {
  return ms === null ? null : toSeconds(ms);
}
