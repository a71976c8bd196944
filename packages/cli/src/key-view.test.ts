import type { ApiKey } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { renderKeys, renderTenants } from "./key-view.ts";
import { testOutput } from "./test-output.ts";

/** Noon of a day, in this machine's time zone, as Unix seconds. */
const noonOf = (day: string): number => new Date(`${day}T12:00:00`).getTime() / 1_000;

const key: ApiKey = {
  id: "k3m8x0q2",
  object: "api_key",
  name: "backend",
  tenant: "acme",
  scopes: ["submit", "read"],
  limits: null,
  status: "active",
  created_at: noonOf("2026-11-01"),
  expires_at: null,
  last_used_at: noonOf("2026-11-24"),
  rotated_at: null,
  overlap_ends_at: null,
  revoked_at: null,
};

describe("renderKeys", () => {
  test("gives each key a line that says what it may and how it stands", () => {
    const ends = noonOf("2026-12-01");
    const keys: ApiKey[] = [
      key,
      { ...key, id: "00000000", name: "a longer name", scopes: ["admin"], last_used_at: null },
      { ...key, id: "11111111", overlap_ends_at: ends },
      { ...key, id: "22222222", expires_at: ends },
      { ...key, id: "33333333", status: "expired", expires_at: ends },
      { ...key, id: "44444444", status: "revoked", revoked_at: ends },
    ];

    expect(renderKeys(keys, testOutput())).toEqual([
      "  id        name           tenant  may          made              last used         state",
      "  k3m8x0q2  backend        acme    submit,read  2026-11-01 12:00  2026-11-24 12:00  active",
      "  00000000  a longer name  acme    admin        2026-11-01 12:00  never             active",
      "  11111111  backend        acme    submit,read  2026-11-01 12:00  2026-11-24 12:00  old secret ends 2026-12-01 12:00",
      "  22222222  backend        acme    submit,read  2026-11-01 12:00  2026-11-24 12:00  until 2026-12-01 12:00",
      "  33333333  backend        acme    submit,read  2026-11-01 12:00  2026-11-24 12:00  expired 2026-12-01 12:00",
      "  44444444  backend        acme    submit,read  2026-11-01 12:00  2026-11-24 12:00  revoked 2026-12-01 12:00",
    ]);
  });

  test("says how to make one where there is none", () => {
    expect(renderKeys([], testOutput()).join("\n")).toContain("headrace keys create");
  });
});

test("renderTenants gives each tenant a line", () => {
  const tenants = [
    { id: "acme", object: "tenant", weight: 2.5 },
    { id: "default", object: "tenant", weight: 1 },
  ] as const;

  expect(renderTenants(tenants, testOutput())).toEqual([
    "  tenant   weight",
    "  acme     2.5",
    "  default  1",
  ]);
});
