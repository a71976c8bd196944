import {
  DEFAULT_TENANT,
  DEFAULT_WEIGHT,
  PlatformError,
  tenantNameSchema,
  weightSchema,
  type TenantSettings,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { MOST_KEYS, type RegistryTools } from "./api-key-desk.ts";
import { MOST_ENTRIES, recordDone, type AuditLog, type AuditNote } from "./audit-log.ts";
import type { ChangeConfirmation } from "./change-confirmation.ts";
import { guard } from "./guard.ts";
import { keys } from "./keys.ts";
import { script } from "./script.ts";

const changeTenant = script("change-tenant", z.literal([1, 2, 0, -1]));

/** How often a change is tried anew that another call came between. */
const CHANGE_TRIES = 8;

/** What was set; the rest is as for a tenant of whom nothing was said. */
const storedSettingsSchema = z.object({ weight: weightSchema.default(DEFAULT_WEIGHT) });

/** Read a tenant's settings. Null is a tenant of whom nothing was ever said. */
export function parseSettings(text: string | null): TenantSettings {
  return storedSettingsSchema.parse(text === null ? {} : JSON.parse(text));
}

/** A tenant, and what is set for it. */
export interface TenantRecord extends TenantSettings {
  readonly name: string;
}

/** Which tenants to list, by name. */
export interface TenantQuery {
  readonly limit: number;
  readonly after: string | null;
}

/** What operators set for tenants. A tenant is there once it has had a key, or settings. */
export class TenantDesk {
  readonly #redis: Redis;
  readonly #audit: AuditLog;
  readonly #confirmation: ChangeConfirmation | null;

  constructor({ redis, audit, confirmation }: RegistryTools) {
    this.#redis = redis;
    this.#audit = audit;
    this.#confirmation = confirmation;
  }

  /** @throws PlatformError `tenant_not_found` */
  async get(name: string): Promise<TenantRecord> {
    const text = await guard(this.#redis.hget(keys.tenantSettings, name));
    if (text === null && name !== DEFAULT_TENANT) {
      throw new PlatformError("tenant_not_found", "there is no such tenant");
    }
    return { name, ...parseSettings(text) };
  }

  /** All that are there, by name. */
  async list({
    limit,
    after,
  }: TenantQuery): Promise<{ readonly tenants: TenantRecord[]; readonly hasMore: boolean }> {
    const settings = await guard(this.#redis.hgetall(keys.tenantSettings));
    const names = [...new Set([DEFAULT_TENANT, ...Object.keys(settings)])]
      .toSorted()
      .filter((name) => after === null || name > after);
    const tenants = names
      .slice(0, limit)
      .map((name) => ({ name, ...parseSettings(settings[name] ?? null) }));
    return { tenants, hasMore: names.length > limit };
  }

  /**
   * Set what is given, and leave the rest. A tenant that is not there yet is made by it.
   *
   * @throws PlatformError `request_invalid` for what cannot be a name, `registry_full`
   */
  async set(note: AuditNote, name: string, settings: TenantSettings): Promise<TenantRecord> {
    const parsed = tenantNameSchema.safeParse(name);
    if (!parsed.success) {
      const message = `tenant: ${parsed.error.issues[0]?.message ?? "no name"}`;
      throw new PlatformError("request_invalid", message, { param: "tenant" });
    }
    for (let attempt = 0; attempt < CHANGE_TRIES; attempt += 1) {
      const text = await guard(this.#redis.hget(keys.tenantSettings, name));
      const before = parseSettings(text);
      const after = { ...before, ...settings };
      if (await this.#replace(note, { name, text, before, after })) return { name, ...after };
    }
    throw new PlatformError("key_contended", `${name} is being changed by others; try again`);
  }

  async #confirm(name: string, after: string): Promise<void> {
    const change = { hash: keys.tenantSettings, field: name, after };
    if (this.#confirmation !== null) await guard(this.#confirmation.confirm(change));
  }

  async #replace(note: AuditNote, change: TenantChange): Promise<boolean> {
    const { name, text, before, after } = change;
    const isSame = before.weight === after.weight;
    const details = isSame ? {} : { weight: { from: before.weight, to: after.weight } };
    const subject = { target: name, tenant: name, details };
    const written = JSON.stringify(after);
    if (written === text) {
      await this.#audit.keepUnchanged(note, subject);
      await this.#confirm(name, written);
      return true;
    }
    const entry = recordDone(note, subject);
    const verdict = await guard(
      changeTenant(
        this.#redis,
        [keys.tenantSettings, keys.apiKeysVersion, keys.audit],
        [name, text ?? "", written, JSON.stringify(entry), MOST_KEYS, MOST_ENTRIES],
      ),
    );
    if (verdict === -1) {
      throw new PlatformError("registry_full", `there are ${MOST_KEYS} tenants, which is the most`);
    }
    if (verdict === 0) return false;
    this.#audit.announce(entry);
    await this.#confirm(name, written);
    return true;
  }
}

/** What becomes of a tenant's settings. */
interface TenantChange {
  readonly name: string;
  /** As they were read; null = none. */
  readonly text: string | null;
  readonly before: TenantSettings;
  readonly after: TenantSettings;
}
