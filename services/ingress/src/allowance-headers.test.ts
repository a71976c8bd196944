import { describe, expect, test } from "vitest";

import type { Allowance } from "@headrace/broker";

import { gainAllowance } from "./allowance-headers.ts";

const requests = { limit: 60, remaining: 59, resetMs: 1_000 };

function toAllowanceHeaders(allowance: Allowance): Record<string, string> {
  const headers = {};
  gainAllowance(headers, allowance);
  return headers;
}

describe("gainAllowance", () => {
  test("tells both limits in OpenAI's way and in the IETF's", () => {
    const tokens = { limit: 40_000, remaining: 0, resetMs: 59_001 };

    expect(toAllowanceHeaders({ requests, tokens })).toEqual({
      "x-ratelimit-limit-requests": "60",
      "x-ratelimit-remaining-requests": "59",
      "x-ratelimit-reset-requests": "1s",
      "x-ratelimit-limit-tokens": "40000",
      "x-ratelimit-remaining-tokens": "0",
      "x-ratelimit-reset-tokens": "59.001s",
      ratelimit: '"requests";r=59;t=1, "tokens";r=0;t=60',
      "ratelimit-policy": '"requests";q=60;w=60, "tokens";q=40000;qu="tokens";w=60',
    });
  });

  test("says nothing of limits that there are not", () => {
    const names = Object.keys(toAllowanceHeaders({ requests, tokens: null }));

    expect(names.filter((name) => name.includes("tokens"))).toEqual([]);
    expect(toAllowanceHeaders({ requests: null, tokens: null })).toEqual({});
  });

  test.for([
    [0, "0ms"],
    [12, "12ms"],
    [8_640, "8.64s"],
    [360_000, "6m0s"],
    [90_500, "1m30.5s"],
    [3_600_000, "1h0m0s"],
  ] as const)("writes %i ms as %s", ([resetMs, text]) => {
    const headers = toAllowanceHeaders({ requests: { ...requests, resetMs }, tokens: null });

    expect(headers["x-ratelimit-reset-requests"]).toBe(text);
  });
});
