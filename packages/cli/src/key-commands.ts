import type { ApiKey, KeyLimits, NewKey, Tenant } from "@headrace/contract";

import type { JobContext } from "./job-commands.ts";
import type {
  KeyCreateOptions,
  KeyListOptions,
  KeyRevokeOptions,
  KeyRotateOptions,
  TenantListOptions,
  TenantSetOptions,
} from "./key-flags.ts";
import { renderKeys, renderTenants } from "./key-view.ts";
import { writeInstant } from "./table.ts";
import { paint, type Terminal } from "./terminal.ts";

/**
 * Make a key. It alone goes to standard output, so that a script can take it from there.
 *
 * @returns the exit code
 */
export async function createKey(
  options: KeyCreateOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const { positionals, tenant, scopes, expires } = options;
  const limits = limitsOf(options);
  const made = await headrace.admin.createKey(
    {
      name: positionals[0],
      ...(tenant === undefined ? {} : { tenant }),
      ...(scopes === undefined ? {} : { scopes }),
      ...(expires === undefined ? {} : { expires_at: Date.now() / 1_000 + expires }),
      ...(Object.keys(limits).length === 0 ? {} : { limits }),
    },
    { signal },
  );
  const expiry = made.expires_at === null ? "" : ` until ${writeInstant(made.expires_at)}`;
  const may = `may ${made.scopes.join(", ")}${expiry}`;
  showNew(made, {
    json: options.json,
    terminal,
    line: `key ${made.id} of tenant ${made.tenant} ${may}`,
  });
  return 0;
}

function limitsOf(options: KeyCreateOptions): KeyLimits {
  const given = {
    requests_per_minute: options["requests-per-minute"],
    tokens_per_minute: options["tokens-per-minute"],
    queued_jobs: options["queued-jobs"],
    concurrent_jobs: options["concurrent-jobs"],
    monthly_tokens: options["monthly-tokens"],
    monthly_cost: options["monthly-cost"],
  };
  return Object.fromEntries(Object.entries(given).filter(([, limit]) => limit !== undefined));
}

/** Show keys, without those that are over unless asked for. @returns the exit code */
export async function listKeys(
  { tenant, all, json }: KeyListOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const found: ApiKey[] = [];
  for await (const key of headrace.admin.listAllKeys({ tenant, limit: 100 }, { signal })) {
    if (all || key.status === "active") found.push(key);
  }
  show(terminal, { json, value: found, lines: renderKeys(found, terminal.out) });
  return 0;
}

/** Give a key a new secret, which alone goes to standard output. @returns the exit code */
export async function rotateKey(
  options: KeyRotateOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const { positionals, overlap } = options;
  const fields = overlap === undefined ? {} : { overlap_seconds: overlap };
  const made = await headrace.admin.rotateKey(positionals[0], fields, { signal });
  const until = made.overlap_ends_at;
  const old = until === null ? "the old one has ended" : `the old one ends ${writeInstant(until)}`;
  showNew(made, { json: options.json, terminal, line: `key ${made.id} has a new secret; ${old}` });
  return 0;
}

/** End a key. @returns the exit code */
export async function revokeKey(
  { positionals, json }: KeyRevokeOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const revoked = await headrace.admin.revokeKey(positionals[0], { signal });
  const line = `${revoked.id} (${revoked.name}, tenant ${revoked.tenant}) is revoked`;
  show(terminal, { json, value: revoked, lines: [line] });
  return 0;
}

/** Show tenants. @returns the exit code */
export async function listTenants(
  { json }: TenantListOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const found: Tenant[] = [];
  for await (const tenant of headrace.admin.listAllTenants({ signal })) found.push(tenant);
  show(terminal, { json, value: found, lines: renderTenants(found, terminal.out) });
  return 0;
}

/** Set what a tenant weighs. @returns the exit code */
export async function setTenant(
  { positionals, weight, json }: TenantSetOptions,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const tenant = await headrace.admin.setTenant(positionals[0], { weight }, { signal });
  const lines = [`${tenant.id} has weight ${tenant.weight}`];
  show(terminal, { json, value: tenant, lines });
  return 0;
}

/** A key's secret is shown this once, and to nobody who reads only what is said about it. */
function showNew(
  made: NewKey,
  {
    json,
    terminal,
    line,
  }: { readonly json: boolean; readonly terminal: Terminal; readonly line: string },
): void {
  const { err } = terminal;
  if (!json) {
    err.write(`${paint(err, "green", "✓")} ${line}\n`);
    err.write(`${paint(err, "dim", "  Keep it now: it cannot be shown again.")}\n`);
  }
  show(terminal, { json, value: made, lines: [made.key] });
}

function show(
  { out }: Terminal,
  {
    json,
    value,
    lines,
  }: { readonly json: boolean; readonly value: object; readonly lines: readonly string[] },
): void {
  out.write(`${json ? JSON.stringify(value, null, 2) : lines.join("\n")}\n`);
}
