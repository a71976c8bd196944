import type { KeyLimits, Scope } from "@headrace/contract";

/** On whose behalf a request is made, and what its key allows. */
export interface Caller {
  /** Whose jobs the request may see. */
  readonly tenant: string;
  /** Public part of the key: what jobs, usage and the audit log name it by. */
  readonly keyId: string;
  /** Tells the secret it came with from the key's others, and nothing of it; null for the environment's. */
  readonly secret: string | null;
  readonly scopes: ReadonlySet<Scope>;
  readonly limits: KeyLimits | null; // null = none
  /** The tenant's weight in fair shares. */
  readonly weight: number;
}

/** Whether the caller may see what was generated; without, a call that changes a job tells its state. */
export function mayRead({ scopes }: Caller): boolean {
  return scopes.has("read");
}

/** Where the operator's own calls are: they concern all tenants. */
const ADMIN_PATH = /^\/admin\//;
/** Where it is said who is told what the tenant's jobs come to: saying so is a way to read it. */
const WEBHOOK_PATH = /^\/v1\/webhook_/;

/** Tell all that a key must allow for a method on a path, so that no route can forget to ask. */
export function scopesFor(method: string, path: string): readonly [Scope, ...Scope[]] {
  if (ADMIN_PATH.test(path)) return ["admin"];
  if (method === "GET") return ["read"];
  return WEBHOOK_PATH.test(path) ? ["submit", "read"] : ["submit"];
}
