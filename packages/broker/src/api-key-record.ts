import { hash } from "node:crypto";

import { keyLimitsSchema, scopeSchema, type KEY_STATUSES, type Scope } from "@headrace/contract";
import { z } from "zod";

/**
 * A key as the registry keeps it. The secret is not among it: a digest cannot be turned back, and
 * 240 random bits cannot be guessed, so a fast hash does what a slow one does for passwords.
 * Instants are ms of Redis' clock.
 */
const keyRecordSchema = z.object({
  name: z.string(),
  tenant: z.string(),
  // While two versions share a Redis, what only the later one knows is no reason to refuse a key.
  scopes: z.array(z.string()).transform((names) => names.filter(isScope)),
  limits: keyLimitsSchema.strip().nullable(),
  /** SHA-256 of the key as callers present it. */
  digest: z.base64url(),
  /** Of secrets from before a rotation, each until when it is valid. */
  earlier: z.array(z.object({ digest: z.base64url(), untilMs: z.number() })),
  createdAtMs: z.number(),
  expiresAtMs: z.number().nullable(),
  rotatedAtMs: z.number().nullable(),
  revokedAtMs: z.number().nullable(),
  /** SHA-256 of what it was made by, where that was an Idempotency-Key. */
  madeBy: z.string().optional(),
});
export type StoredKey = z.infer<typeof keyRecordSchema>;

function isScope(name: string): name is Scope {
  return scopeSchema.safeParse(name).success;
}

/** A key of the registry, and when it was last used. */
export interface KeyRecord extends StoredKey {
  readonly id: string;
  readonly lastUsedAtMs: number | null;
  /** As of the time it was read. */
  readonly status: (typeof KEY_STATUSES)[number];
  /** Until when a secret from before the last rotation is valid; null when none is. */
  readonly overlapEndsAtMs: number | null;
}

/** What a key that was presented is compared by. */
export function digestApiKey(key: string): Buffer {
  return hash("sha256", key, "buffer");
}

/** Read a key's entry. */
export function parseKey(text: string): StoredKey {
  return keyRecordSchema.parse(JSON.parse(text));
}

/** Complete a key's entry with what is told by the clock, and kept elsewhere. */
export function toKeyRecord(
  id: string,
  stored: StoredKey,
  { nowMs, usedAt }: { readonly nowMs: number; readonly usedAt: string | null },
): KeyRecord {
  const overlaps = stored.earlier.map(({ untilMs }) => untilMs).filter((until) => until > nowMs);
  return {
    ...stored,
    id,
    lastUsedAtMs: usedAt === null ? null : Number(usedAt),
    status: statusOf(stored, nowMs),
    overlapEndsAtMs: overlaps.length === 0 ? null : Math.max(...overlaps),
  };
}

function statusOf({ revokedAtMs, expiresAtMs }: StoredKey, nowMs: number): KeyRecord["status"] {
  if (revokedAtMs !== null) return "revoked";
  return expiresAtMs !== null && expiresAtMs <= nowMs ? "expired" : "active";
}
