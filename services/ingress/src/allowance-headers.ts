import type { Allowance, Quota } from "@headrace/broker";

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3_600;
const MS_PER_SECOND = 1_000;

/**
 * Write what is left of a key's limits as OpenAI does, and as the IETF's draft does; nothing of a limit
 * that the key does not have.
 *
 * @see https://developers.openai.com/api/docs/guides/rate-limits
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
 */
export function gainAllowance(
  headers: Record<string, string>,
  { requests, tokens }: Allowance,
): void {
  if (requests !== null) gain(headers, "requests", requests);
  if (tokens !== null) gain(headers, "tokens", tokens);
}

function gain(headers: Record<string, string>, unit: string, quota: Quota): void {
  headers[`x-ratelimit-limit-${unit}`] = String(quota.limit);
  headers[`x-ratelimit-remaining-${unit}`] = String(quota.remaining);
  headers[`x-ratelimit-reset-${unit}`] = toDuration(quota.resetMs);
  add(headers, "ratelimit", toLimitItem(unit, quota));
  add(headers, "ratelimit-policy", toPolicyItem(unit, quota));
}

function add(headers: Record<string, string>, name: string, item: string): void {
  const before = headers[name];
  headers[name] = before === undefined ? item : `${before}, ${item}`;
}

/** How much is left, and in how many seconds all of it is back. */
function toLimitItem(unit: string, { remaining, resetMs }: Quota): string {
  return `"${unit}";r=${remaining};t=${Math.ceil(resetMs / MS_PER_SECOND)}`;
}

/** Requests are the draft's unit unless another is named. */
function toPolicyItem(unit: string, { limit }: Quota): string {
  const named = unit === "requests" ? "" : `;qu="${unit}"`;
  return `"${unit}";q=${limit}${named};w=${MINUTE_SECONDS}`;
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
