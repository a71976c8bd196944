import {
  apiKeySchema,
  auditListSchema,
  keyDeletedSchema,
  keyListSchema,
  newKeySchema,
  tenantListSchema,
  tenantSchema,
  type ApiKey,
  type AuditList,
  type KeyCreate,
  type KeyDeleted,
  type KeyList,
  type KeyRotate,
  type KeyUpdate,
  type NewKey,
  type Tenant,
  type TenantList,
  type TenantSettings,
} from "@headrace/contract";

import type { Transport } from "./transport.ts";

/** What every call takes: aborting the signal rejects with the signal's reason. */
interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Which page of a list. */
export interface PageQuery {
  /** Entries per page, 1 to 100. */
  readonly limit?: number | undefined;
  /** Id of the last entry of the page before. */
  readonly after?: string | undefined;
}

/** Which keys to list. */
export interface KeyQuery extends PageQuery {
  readonly tenant?: string | undefined;
}

/**
 * What an operator does: keys, tenants, and who did what to them. Needs a key with scope `admin`;
 * every call throws HeadraceError `scope_missing` without.
 */
export class Admin {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Make a key. Its `key` is in this answer and in no other, so the call is tried once only. With an
   * `idempotencyKey` it may be made again when its answer was lost: that makes no second key, and
   * `key_exists` says which one to rotate.
   *
   * @throws HeadraceError `request_invalid`, `registry_full`, `key_exists`, `idempotency_key_reused`
   */
  async createKey(
    key: KeyCreate,
    { signal, idempotencyKey }: CallOptions & { readonly idempotencyKey?: string } = {},
  ): Promise<NewKey> {
    const headers = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
    return this.#transport.jsonOnce(
      { method: "POST", path: "/admin/v1/keys", body: key, headers, signal },
      newKeySchema,
    );
  }

  /** Get one page of keys, newest first. */
  async listKeys(query: KeyQuery = {}, { signal }: CallOptions = {}): Promise<KeyList> {
    return this.#transport.json(
      { method: "GET", path: "/admin/v1/keys", query: { ...query }, signal },
      keyListSchema,
    );
  }

  /**
   * Go through all keys, newest first, fetching page after page.
   *
   * @yields each key once
   */
  async *listAllKeys(
    query: KeyQuery = {},
    options: CallOptions = {},
  ): AsyncGenerator<ApiKey, void> {
    let after = query.after;
    for (;;) {
      const page = await this.listKeys({ ...query, after }, options);
      yield* page.data;
      if (!page.has_more || page.last_id === null) return;
      after = page.last_id;
    }
  }

  /** Look at a key. @throws HeadraceError `key_not_found` */
  async getKey(id: string, { signal }: CallOptions = {}): Promise<ApiKey> {
    return this.#transport.json({ method: "GET", path: keyPath(id), signal }, apiKeySchema);
  }

  /**
   * Change what a key is called and may do; what is not given stays.
   *
   * @throws HeadraceError `key_not_found`, `key_revoked`, `request_invalid`
   */
  async updateKey(id: string, fields: KeyUpdate, { signal }: CallOptions = {}): Promise<ApiKey> {
    return this.#transport.json(
      { method: "POST", path: keyPath(id), body: fields, signal },
      apiKeySchema,
    );
  }

  /**
   * Give a key a new secret, in this answer and in no other; the old one goes on for the overlap.
   * The call is tried once only.
   *
   * @throws HeadraceError `key_not_found`, `key_revoked`, `key_rotating`
   */
  async rotateKey(
    id: string,
    fields: KeyRotate = {},
    { signal }: CallOptions = {},
  ): Promise<NewKey> {
    return this.#transport.jsonOnce(
      { method: "POST", path: `${keyPath(id)}/rotate`, body: fields, signal },
      newKeySchema,
    );
  }

  /** End a key for good, everywhere within a second. @throws HeadraceError `key_not_found` */
  async revokeKey(id: string, { signal }: CallOptions = {}): Promise<ApiKey> {
    return this.#transport.json(
      { method: "POST", path: `${keyPath(id)}/revoke`, signal },
      apiKeySchema,
    );
  }

  /** End a key and forget it. @throws HeadraceError `key_not_found` */
  async deleteKey(id: string, { signal }: CallOptions = {}): Promise<KeyDeleted> {
    return this.#transport.json({ method: "DELETE", path: keyPath(id), signal }, keyDeletedSchema);
  }

  /** Get one page of tenants, by name. */
  async listTenants(query: PageQuery = {}, { signal }: CallOptions = {}): Promise<TenantList> {
    return this.#transport.json(
      { method: "GET", path: "/admin/v1/tenants", query: { ...query }, signal },
      tenantListSchema,
    );
  }

  /**
   * Go through all tenants, by name, fetching page after page.
   *
   * @yields each tenant once
   */
  async *listAllTenants(options: CallOptions = {}): AsyncGenerator<Tenant, void> {
    let after: string | undefined;
    for (;;) {
      const page = await this.listTenants({ after }, options);
      yield* page.data;
      if (!page.has_more || page.last_id === null) return;
      after = page.last_id;
    }
  }

  /** Look at what is set for a tenant. @throws HeadraceError `tenant_not_found` */
  async getTenant(name: string, { signal }: CallOptions = {}): Promise<Tenant> {
    return this.#transport.json({ method: "GET", path: tenantPath(name), signal }, tenantSchema);
  }

  /** Set a tenant's weight in fair shares. @throws HeadraceError `request_invalid` */
  async setTenant(
    name: string,
    settings: TenantSettings,
    { signal }: CallOptions = {},
  ): Promise<Tenant> {
    return this.#transport.json(
      { method: "POST", path: tenantPath(name), body: settings, signal },
      tenantSchema,
    );
  }

  /** Get one page of what operators did and tried, newest first. */
  async audit(query: PageQuery = {}, { signal }: CallOptions = {}): Promise<AuditList> {
    return this.#transport.json(
      { method: "GET", path: "/admin/v1/audit", query: { ...query }, signal },
      auditListSchema,
    );
  }
}

function keyPath(id: string): string {
  return `/admin/v1/keys/${encodeURIComponent(id)}`;
}

function tenantPath(name: string): string {
  return `/admin/v1/tenants/${encodeURIComponent(name)}`;
}
