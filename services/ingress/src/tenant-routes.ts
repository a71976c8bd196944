import type { TenantRecord } from "@headrace/broker";
import { tenantSettingsSchema, type Tenant, type TenantList } from "@headrace/contract";
import { validate } from "@headrace/endpoints";

import { adminRoute, type AdminHandler } from "./admin-route.ts";
import { sendJson } from "./answer.ts";
import { toPage } from "./page.ts";
import { pathParameter, type Route } from "./exchange.ts";
import { auditQuerySchema, tenantListQuerySchema } from "./query.ts";
import { readJsonBody } from "./request-body.ts";
import type { Services } from "./services.ts";

/** The operator's API for tenants, and what operators did. */
export function tenantRoutes(services: Services): Route[] {
  return [
    adminRoute(services, "/admin/v1/tenants", {
      GET: { action: "tenant.list", answer: listTenants },
    }),
    adminRoute(services, "/admin/v1/tenants/{tenant}", {
      GET: { action: "tenant.read", answer: readTenant },
      POST: { action: "tenant.set", answer: setTenant },
    }),
    adminRoute(services, "/admin/v1/audit", {
      GET: { action: "audit.read", answer: readAudit },
    }),
  ];
}

const listTenants: AdminHandler = async ({ broker }, exchange) => {
  const query = validate(tenantListQuerySchema, { ...exchange.request.query });
  const { tenants, hasMore } = await broker.tenants.list({
    limit: query.limit,
    after: query.after ?? null,
  });
  const data = tenants.map(toTenant);
  const body: TenantList = toPage(data, hasMore);
  sendJson(exchange, 200, { body });
};

const readTenant: AdminHandler = async ({ broker }, exchange) => {
  const record = await broker.tenants.get(pathParameter(exchange, "tenant"));
  sendJson(exchange, 200, { body: toTenant(record) });
};

const setTenant: AdminHandler = async ({ broker, bodyLimitBytes }, exchange, note) => {
  const body = await readJsonBody(exchange.request, bodyLimitBytes);
  const settings = validate(tenantSettingsSchema, body);
  const record = await broker.tenants.set(note, pathParameter(exchange, "tenant"), settings);
  sendJson(exchange, 200, { body: toTenant(record) });
};

const readAudit: AdminHandler = async ({ broker }, exchange) => {
  const query = validate(auditQuerySchema, { ...exchange.request.query });
  const body = await broker.audit.list({ limit: query.limit, after: query.after ?? null });
  sendJson(exchange, 200, { body });
};

function toTenant({ name, weight }: TenantRecord): Tenant {
  return { id: name, object: "tenant", weight };
}
