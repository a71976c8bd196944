import type { KeyLimits } from "@headrace/contract";
import type { Redis } from "ioredis";

import type { Allowance, Quota } from "./allowance.ts";
import { readRedisMs } from "./clock.ts";
import { keys } from "./keys.ts";

const MINUTE_MS = 60_000;

/** A key that has limits. */
export interface LimitedKey {
  readonly tenant: string;
  readonly keyId: string;
  readonly limits: KeyLimits;
}

/**
 * Look at what is left of a key's limits a minute, over all models, and take nothing. As
 * `lua/include/bucket.lua` reckons it when a job is submitted.
 */
export async function readAllowance(
  redis: Redis,
  { tenant, keyId, limits }: LimitedKey,
): Promise<Allowance> {
  const [[requests, tokens], nowMs] = await Promise.all([
    redis.hmget(keys.buckets(tenant, keyId), "requests", "tokens"),
    readRedisMs(redis),
  ]);
  return {
    requests: toQuota(requests, limits.requests_per_minute, nowMs),
    tokens: toQuota(tokens, limits.tokens_per_minute, nowMs),
    ofModel: { requests: null, tokens: null },
  };
}

/** A bucket that is not there is full. */
function toQuota(
  bucket: string | null | undefined,
  limit: number | undefined,
  nowMs: number,
): Quota | null {
  if (limit === undefined) return null;
  const [level, atMs] = (bucket ?? `${limit} ${nowMs}`).split(" ").map(Number);
  const filled = ((nowMs - (atMs ?? nowMs)) * limit) / MINUTE_MS;
  const left = Math.min(limit, (level ?? limit) + filled);
  return {
    limit,
    remaining: Math.max(0, Math.floor(left)),
    resetMs: Math.ceil(((limit - left) * MINUTE_MS) / limit),
  };
}
