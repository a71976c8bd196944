import type { Allowance, Quota, Quotas } from "@headrace/broker";

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3_600;
const MS_PER_SECOND = 1_000;
/** What limits a minute are counted in. */
const UNITS = ["requests", "tokens"] as const;

/**
 * Write what is left of a key's limits as OpenAI does, which tells of one limit for each unit: here the
 * tighter of the key's and the model's; and as the IETF's draft does, which tells of all. Nothing is
 * said of a limit that there is not.
 *
 * @see https://developers.openai.com/api/docs/guides/rate-limits
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
export function gainAllowance(headers: Record<string, string>, allowance: Allowance): void {
  for (const unit of UNITS) {
    const quotas = [allowance[unit], allowance.ofModel[unit]].filter((quota) => quota !== null);
    const [tighter] = quotas.toSorted((a, b) => a.remaining - b.remaining || b.resetMs - a.resetMs);
    if (tighter === undefined) continue;
    headers[`x-ratelimit-limit-${unit}`] = String(tighter.limit);
    headers[`x-ratelimit-remaining-${unit}`] = String(tighter.remaining);
    headers[`x-ratelimit-reset-${unit}`] = toDuration(tighter.resetMs);
  }
  gainPolicies(headers, allowance, "");
  gainPolicies(headers, allowance.ofModel, "model-");
}

/** Each limit has a policy of its own, which has the same name in every answer. */
function gainPolicies(headers: Record<string, string>, quotas: Quotas, prefix: string): void {
  for (const unit of UNITS) {
    const quota = quotas[unit];
    if (quota === null) continue;
    add(headers, "ratelimit", toLimitItem(prefix + unit, quota));
    add(headers, "ratelimit-policy", toPolicyItem({ name: prefix + unit, unit }, quota));
  }
}

function add(headers: Record<string, string>, name: string, item: string): void {
  const before = headers[name];
  headers[name] = before === undefined ? item : `${before}, ${item}`;
}

/** How much is left, and in how many seconds all of it is back. */
function toLimitItem(name: string, { remaining, resetMs }: Quota): string {
  return `"${name}";r=${remaining};t=${Math.ceil(resetMs / MS_PER_SECOND)}`;
}

/** Requests are the draft's unit unless another is named. */
function toPolicyItem(
  { name, unit }: { readonly name: string; readonly unit: (typeof UNITS)[number] },
  { limit }: Quota,
): string {
  const named = unit === "requests" ? "" : `;qu="${unit}"`;
  return `"${name}";q=${limit}${named};w=${MINUTE_SECONDS}`;
}

/** A duration as Go writes it, which is how OpenAI does: `12ms`, `1.5s`, `6m0s`, `1h0m0s`. */
function toDuration(ms: number): string {
  if (ms < MS_PER_SECOND) return `${ms}ms`;
  const seconds = ms / MS_PER_SECOND;
  const hours = Math.floor(seconds / HOUR_SECONDS);
  const minutes = Math.floor((seconds % HOUR_SECONDS) / MINUTE_SECONDS);
  const rest = Number((seconds % MINUTE_SECONDS).toFixed(3));
  const ofHours = hours === 0 ? "" : `${hours}h`;
  const ofMinutes = hours === 0 && minutes === 0 ? "" : `${minutes}m`;
  return `${ofHours}${ofMinutes}${rest}s`;
}
