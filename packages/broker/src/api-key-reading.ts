import { keyIdSchema, PlatformError, ROOT_KEY_ID } from "@headrace/contract";
import type { Redis } from "ioredis";

import { parseKey, toKeyRecord, type KeyRecord, type StoredKey } from "./api-key-record.ts";
import { readRedisMs } from "./clock.ts";
import { keys } from "./keys.ts";

/** Keys looked at side by side when a list is filtered. */
const LIST_PAGE = 200;

/** Which keys to list. */
export interface KeyQuery {
  readonly tenant: string | null;
  readonly limit: number;
  readonly after: string | null;
}

/** A key's entry as it was read, so that it can be changed unless another call does first. */
export interface KeyReading {
  readonly text: string;
  readonly stored: StoredKey;
  readonly nowMs: number;
  readonly usedAt: string | null;
}

/** @throws PlatformError `key_not_found` */
export async function readKey(redis: Redis, id: string): Promise<KeyReading> {
  if (!keyIdSchema.safeParse(id).success) throw unknownKey(id);
  const [text, usedAt, nowMs] = await Promise.all([
    redis.hget(keys.apiKeys, id),
    redis.hget(keys.apiKeysUsed, id),
    readRedisMs(redis),
  ]);
  if (text === null) throw unknownKey(id);
  return { text, stored: parseKey(text), nowMs, usedAt };
}

/** Keys, newest first. @throws PlatformError `key_not_found` for an unknown `after` */
export async function listKeys(
  redis: Redis,
  { tenant, limit, after }: KeyQuery,
): Promise<{ readonly keys: KeyRecord[]; readonly hasMore: boolean }> {
  const nowMs = await readRedisMs(redis);
  const found: KeyRecord[] = [];
  for (let rank = await rankAfter(redis, after); ; rank += LIST_PAGE) {
    const page = await readPage(redis, rank, nowMs);
    for (const record of page.records) {
      if (tenant !== null && record.tenant !== tenant) continue;
      if (found.length === limit) return { keys: found, hasMore: true };
      found.push(record);
    }
    if (page.isLast) return { keys: found, hasMore: false };
  }
}

function unknownKey(id: string): PlatformError {
  const message =
    id === ROOT_KEY_ID
      ? "the key root is the server's own, HEADRACE_API_KEY: change it there"
      : "there is no such key";
  return new PlatformError("key_not_found", message);
}

async function rankAfter(redis: Redis, after: string | null): Promise<number> {
  if (after === null) return 0;
  const rank = await redis.zrevrank(keys.apiKeysByAge, after);
  if (rank === null) {
    throw new PlatformError("key_not_found", "after: there is no such key", { param: "after" });
  }
  return rank + 1;
}

async function readPage(
  redis: Redis,
  rank: number,
  nowMs: number,
): Promise<{ readonly records: KeyRecord[]; readonly isLast: boolean }> {
  const ids = await redis.zrevrange(keys.apiKeysByAge, rank, rank + LIST_PAGE - 1);
  const isLast = ids.length < LIST_PAGE;
  if (ids.length === 0) return { records: [], isLast };
  const [texts, usedAts] = await Promise.all([
    redis.hmget(keys.apiKeys, ...ids),
    redis.hmget(keys.apiKeysUsed, ...ids),
  ]);
  const records = ids.flatMap((id, at) => {
    const text = texts[at] ?? null;
    if (text === null) return [];
    return [toKeyRecord(id, parseKey(text), { nowMs, usedAt: usedAts[at] ?? null })];
  });
  return { records, isLast };
}
