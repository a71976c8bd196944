import type { ApiKey, Tenant } from "@headrace/contract";

import { renderTable, writeInstant } from "./table.ts";
import type { Output } from "./terminal.ts";

const MARGIN = "  ";

/** Write keys as a table, newest first. */
export function renderKeys(keys: readonly ApiKey[], output: Output): string[] {
  if (keys.length === 0) {
    return [`${MARGIN}No keys but the server's own. \`headrace keys create <name>\` makes one.`];
  }
  const head = ["id", "name", "tenant", "may", "made", "last used", "state"];
  return renderTable(head, keys.map(cellsOf), output);
}

/** Write tenants as a table, by name. */
export function renderTenants(tenants: readonly Tenant[], output: Output): string[] {
  const rows = tenants.map(({ id, weight }) => [id, String(weight)]);
  return renderTable(["tenant", "weight"], rows, output);
}

function cellsOf(key: ApiKey): string[] {
  return [
    key.id,
    key.name,
    key.tenant,
    key.scopes.join(","),
    writeInstant(key.created_at),
    key.last_used_at === null ? "never" : writeInstant(key.last_used_at),
    stateOf(key),
  ];
}

function stateOf({ status, expires_at, overlap_ends_at, revoked_at }: ApiKey): string {
  if (revoked_at !== null) return `revoked ${writeInstant(revoked_at)}`;
  if (status === "expired" && expires_at !== null) return `expired ${writeInstant(expires_at)}`;
  if (overlap_ends_at !== null) return `old secret ends ${writeInstant(overlap_ends_at)}`;
  return expires_at === null ? "active" : `until ${writeInstant(expires_at)}`;
}
