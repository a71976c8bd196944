import type { DayUsage } from "@headrace/broker";
import {
  PlatformError,
  type UsageGroup,
  type UsageReport,
  type UsageRow,
  type UsageSums,
} from "@headrace/contract";
import { validate } from "@headrace/endpoints";

import { sendJson } from "./answer.ts";
import type { Caller } from "./caller.ts";
import type { Exchange, Route } from "./exchange.ts";
import { usageQuerySchema } from "./query.ts";
import type { Services } from "./services.ts";

const DAY_MS = 24 * 3_600 * 1_000;
/** Days reported where the caller does not say: today and the 29 before it. */
export const DEFAULT_DAYS = 30;
/** As many as are kept. */
export const MOST_DAYS = 400;

const NONE: UsageSums = { jobs: 0, input_tokens: 0, output_tokens: 0, gpu_seconds: 0, cost: 0 };

/** What was used, and what it cost. */
export function usageRoutes(services: Services): Route[] {
  const read = (exchange: Exchange, caller: Caller): Promise<void> =>
    readUsage(services, exchange, caller);
  return [{ path: "/v1/usage", methods: { GET: read } }];
}

async function readUsage(
  { broker, pricing }: Services,
  exchange: Exchange,
  caller: Caller,
): Promise<void> {
  const query = validate(usageQuerySchema, { ...exchange.request.query });
  const range = toRange(query);
  const tenant = query.tenant ?? caller.tenant;
  if (tenant !== caller.tenant && !caller.scopes.has("admin")) {
    throw new PlatformError("scope_missing", "another tenant's usage needs a key with scope admin");
  }
  const days = await broker.readUsage(tenant, range);
  const body: UsageReport = {
    object: "usage",
    tenant,
    ...range,
    currency: pricing.currency,
    data: sumUp(days, query.group_by),
    total: days.reduce(add, NONE),
  };
  sendJson(exchange, 200, { body });
}

function toRange(query: { readonly from?: string | undefined; readonly to?: string | undefined }): {
  readonly from: string;
  readonly to: string;
} {
  const to = query.to ?? toDay(Date.now());
  const from = query.from ?? toDay(Date.parse(to) - (DEFAULT_DAYS - 1) * DAY_MS);
  const days = (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
  if (days >= 1 && days <= MOST_DAYS) return { from, to };
  const message = `from: expected a day up to ${to}, and at most ${MOST_DAYS} days with it, found ${from}`;
  throw new PlatformError("request_invalid", message, { param: "from" });
}

/** Sum what shares all that it is grouped by; in the order of day, key and model. */
function sumUp(days: readonly DayUsage[], groups: readonly UsageGroup[]): UsageRow[] {
  const rows = new Map<string, UsageRow>();
  for (const each of days) {
    const place = {
      day: groups.includes("day") ? each.day : null,
      key: groups.includes("key") ? each.key : null,
      model: groups.includes("model") ? each.model : null,
    };
    const name = JSON.stringify(Object.values(place));
    rows.set(name, { ...place, ...add(rows.get(name) ?? NONE, each) });
  }
  return [...rows].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([_name, row]) => row);
}

function add(one: UsageSums, other: UsageSums): UsageSums {
  return {
    jobs: one.jobs + other.jobs,
    input_tokens: one.input_tokens + other.input_tokens,
    output_tokens: one.output_tokens + other.output_tokens,
    gpu_seconds: one.gpu_seconds + other.gpu_seconds,
    cost: one.cost + other.cost,
  };
}

function toDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, "2026-11-25".length);
}
