import { createHash } from "node:crypto";

import {
  keyIdFrom,
  newApiKey,
  newKeyId,
  PlatformError,
  type KeyLimits,
  type KeyUpdate,
  type Scope,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { digestApiKey, toKeyRecord, type KeyRecord, type StoredKey } from "./api-key-record.ts";
import { listKeys, readKey, type KeyQuery } from "./api-key-reading.ts";
import {
  MOST_ENTRIES,
  recordDone,
  type AuditLog,
  type AuditNote,
  type AuditRecord,
} from "./audit-log.ts";
import type { ChangeConfirmation } from "./change-confirmation.ts";
import { readRedisMs } from "./clock.ts";
import { guard } from "./guard.ts";
import { keys } from "./keys.ts";
import { script } from "./script.ts";

const changeKey = script("change-key", z.literal([1, 2, 0, -1]));

/** Keys, and tenants, there may be: each ingress may come to hold all of them in memory. */
export const MOST_KEYS = 10_000;
/** How often a change is tried anew that another call came between. */
const CHANGE_TRIES = 8;
/** Secrets of before that may be valid at once: each request is compared with all. */
const MOST_EARLIER = 4;

/** What changes of keys and tenants are made with. */
export interface RegistryTools {
  readonly redis: Redis;
  readonly audit: AuditLog;
  /** Null where nobody waits for a replica. */
  readonly confirmation: ChangeConfirmation | null;
}

/** A key as an operator wants it. */
export interface KeyForm {
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly limits: KeyLimits | null;
  /** Unix seconds; null = never. */
  readonly expiresAt: number | null;
  /** One key is made under it, however often it is asked for; null where nobody names one. */
  readonly idempotencyKey: string | null;
}

/** A key with what it is presented as: known now, and never again. */
export interface FreshKey {
  readonly record: KeyRecord;
  readonly key: string;
}

/** What a change makes of a key. */
interface Change {
  /** Null = the key is deleted. */
  readonly after: StoredKey | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/**
 * Makes, changes and ends API keys. Each change and its audit entry are one step; every ingress acts
 * by it within a second.
 */
export class ApiKeyDesk {
  readonly #redis: Redis;
  readonly #audit: AuditLog;
  readonly #confirmation: ChangeConfirmation | null;

  constructor({ redis, audit, confirmation }: RegistryTools) {
    this.#redis = redis;
    this.#audit = audit;
    this.#confirmation = confirmation;
  }

  /**
   * Make a key. Under an Idempotency-Key its id follows from that: as long as the key is there, no second
   * is made, and its secret is not shown again, since it is kept nowhere.
   *
   * @throws PlatformError `request_invalid` for an expiry in the past, `registry_full`; `key_exists` where
   *   an earlier call has made it, `idempotency_key_reused` where that asked for another
   */
  async create(note: AuditNote, form: KeyForm): Promise<FreshKey> {
    const { name, tenant, scopes, limits, expiresAt, idempotencyKey } = form;
    const id = idempotencyKey === null ? newKeyId() : keyIdFrom(hash(idempotencyKey));
    const key = newApiKey(id);
    const madeBy =
      idempotencyKey === null ? null : hash(JSON.stringify(form)).toString("base64url");
    const nowMs = await guard(readRedisMs(this.#redis));
    const after: StoredKey = {
      name,
      tenant,
      scopes: [...scopes],
      limits,
      digest: digestOf(key),
      earlier: [],
      createdAtMs: nowMs,
      expiresAtMs: toExpiry(expiresAt, nowMs),
      rotatedAtMs: null,
      revokedAtMs: null,
      ...(madeBy === null ? {} : { madeBy }),
    };
    const details = { name, scopes, limits, expires_at: expiresAt };
    const isMade = await this.#replace(note, id, { before: null, after, details });
    if (!isMade) throw await this.#findWhyNot(id, madeBy);
    return { record: toKeyRecord(id, after, { nowMs, usedAt: null }), key };
  }

  async #findWhyNot(id: string, madeBy: string | null): Promise<PlatformError> {
    if (madeBy === null) return new PlatformError("internal", `the id ${id} was drawn twice`);
    const { stored } = await guard(readKey(this.#redis, id));
    const options = { param: "Idempotency-Key", waitMs: null };
    if (stored.madeBy === madeBy) {
      const message = `the key ${id} was made by an earlier call with this Idempotency-Key, and its secret is kept nowhere; for another secret rotate it: POST /admin/v1/keys/${id}/rotate with {"overlap_seconds": 0}`;
      return new PlatformError("key_exists", message, options);
    }
    const message = `this Idempotency-Key made the key ${id}, which was asked for otherwise; use a new Idempotency-Key, or repeat the first request unchanged`;
    return new PlatformError("idempotency_key_reused", message, options);
  }

  /** @throws PlatformError `key_not_found` */
  async get(id: string): Promise<KeyRecord> {
    const { stored, nowMs, usedAt } = await guard(readKey(this.#redis, id));
    return toKeyRecord(id, stored, { nowMs, usedAt });
  }

  /** Keys, newest first. @throws PlatformError `key_not_found` for an unknown `after` */
  async list(query: KeyQuery): Promise<{ readonly keys: KeyRecord[]; readonly hasMore: boolean }> {
    return guard(listKeys(this.#redis, query));
  }

  /**
   * Change what a key is called and may do. An expired key lives again by a later expiry.
   *
   * @throws PlatformError `key_not_found`, `key_revoked`, `request_invalid` for an expiry in the past
   */
  async update(note: AuditNote, id: string, fields: KeyUpdate): Promise<KeyRecord> {
    return this.#change(note, id, (before, nowMs) => {
      assertLive(id, before);
      const after: StoredKey = {
        ...before,
        name: fields.name ?? before.name,
        scopes: fields.scopes ?? before.scopes,
        limits: fields.limits === undefined ? before.limits : fields.limits,
        expiresAtMs:
          fields.expires_at === undefined ? before.expiresAtMs : toExpiry(fields.expires_at, nowMs),
      };
      return { after, details: differenceOf(before, after) };
    });
  }

  /**
   * Give a key another secret. Those there were stay valid for the overlap at most.
   *
   * @throws PlatformError `key_not_found`, `key_revoked`, `key_rotating` when four are valid already
   */
  async rotate(note: AuditNote, id: string, overlapMs: number): Promise<FreshKey> {
    const key = newApiKey(id);
    const record = await this.#change(note, id, (before, nowMs) => {
      assertLive(id, before);
      const endsAtMs = nowMs + overlapMs;
      const earlier = [{ digest: before.digest, untilMs: endsAtMs }, ...before.earlier]
        .map(({ digest, untilMs }) => ({ digest, untilMs: Math.min(untilMs, endsAtMs) }))
        .filter(({ untilMs }) => untilMs > nowMs);
      if (earlier.length > MOST_EARLIER) {
        throw new PlatformError(
          "key_rotating",
          `${MOST_EARLIER} earlier secrets of the key ${id} are still valid; wait for one to end, or rotate with overlap_seconds 0, which ends them all`,
          { param: "overlap_seconds" },
        );
      }
      const after = { ...before, digest: digestOf(key), earlier, rotatedAtMs: nowMs };
      return { after, details: { overlap_seconds: overlapMs / 1_000 } };
    });
    return { record, key };
  }

  /** End a key for good. Revoking a revoked one changes nothing. @throws PlatformError `key_not_found` */
  async revoke(note: AuditNote, id: string): Promise<KeyRecord> {
    return this.#change(note, id, (before, nowMs) => {
      const after = { ...before, revokedAtMs: before.revokedAtMs ?? nowMs, earlier: [] };
      return { after, details: {} };
    });
  }

  /** End a key and forget it. @throws PlatformError `key_not_found` */
  async delete(note: AuditNote, id: string): Promise<void> {
    await this.#change(note, id, ({ name }) => ({ after: null, details: { name } }));
  }

  async #change(
    note: AuditNote,
    id: string,
    decide: (before: StoredKey, nowMs: number) => Change,
  ): Promise<KeyRecord> {
    for (let attempt = 0; attempt < CHANGE_TRIES; attempt += 1) {
      const { text, stored, nowMs, usedAt } = await guard(readKey(this.#redis, id));
      const { after, details } = decide(stored, nowMs);
      const record = toKeyRecord(id, after ?? stored, { nowMs, usedAt });
      if (after !== null && JSON.stringify(after) === text) {
        await this.#audit.keepUnchanged(note, { target: id, tenant: stored.tenant, details });
        await this.#confirm(id, text);
        return record;
      }
      if (await this.#replace(note, id, { before: { text, stored }, after, details }))
        return record;
    }
    throw new PlatformError("key_contended", `the key ${id} is being changed by others; try again`);
  }

  async #confirm(id: string, after: string | null): Promise<void> {
    const change = { hash: keys.apiKeys, field: id, after };
    if (this.#confirmation !== null) await guard(this.#confirmation.confirm(change));
  }

  /** @returns false when another call has changed the key since `before` was read */
  async #replace(
    note: AuditNote,
    id: string,
    {
      before,
      after,
      details,
    }: Change & { readonly before: { readonly text: string; readonly stored: StoredKey } | null },
  ): Promise<boolean> {
    const tenant = (before?.stored ?? after)?.tenant ?? "";
    const entry: AuditRecord = recordDone(note, { target: id, tenant, details });
    const written = after === null ? null : JSON.stringify(after);
    const verdict = await guard(
      changeKey(
        this.#redis,
        [
          keys.apiKeys,
          keys.apiKeysByAge,
          keys.apiKeysUsed,
          keys.tenantSettings,
          keys.apiKeysVersion,
          keys.audit,
        ],
        [
          id,
          before?.text ?? "",
          written ?? "",
          tenant,
          JSON.stringify(entry),
          MOST_KEYS,
          MOST_ENTRIES,
        ],
      ),
    );
    if (verdict === -1) {
      const message = `there are ${MOST_KEYS} keys or tenants, which is the most; delete revoked keys`;
      throw new PlatformError("registry_full", message);
    }
    if (verdict === 0) return false;
    this.#audit.announce(entry);
    await this.#confirm(id, written);
    return true;
  }
}

function hash(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function digestOf(key: string): string {
  return digestApiKey(key).toString("base64url");
}

function toExpiry(expiresAt: number | null, nowMs: number): number | null {
  if (expiresAt === null) return null;
  const expiresAtMs = Math.round(expiresAt * 1_000);
  if (expiresAtMs > nowMs) return expiresAtMs;
  const now = Math.floor(nowMs / 1_000);
  const message = `expires_at: expected Unix seconds still to come, found ${expiresAt} at ${now}`;
  throw new PlatformError("request_invalid", message, { param: "expires_at" });
}

function assertLive(id: string, { revokedAtMs }: StoredKey): void {
  if (revokedAtMs === null) return;
  throw new PlatformError("key_revoked", `the key ${id} is revoked, for good; make a new one`);
}

/** What a change changes: `{field: {from, to}}`. */
function differenceOf(before: StoredKey, after: StoredKey): Record<string, unknown> {
  const [from, to] = [describe(before), describe(after)];
  return Object.fromEntries(
    Object.keys(from)
      .filter((field) => JSON.stringify(from[field]) !== JSON.stringify(to[field]))
      .map((field) => [field, { from: from[field], to: to[field] }]),
  );
}

function describe({ name, scopes, limits, expiresAtMs }: StoredKey): Record<string, unknown> {
  return { name, scopes, limits, expires_at: expiresAtMs === null ? null : expiresAtMs / 1_000 };
}
