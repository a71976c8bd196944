import { describe, expect, test } from "vitest";

import type { Allowance } from "@headrace/broker";

import { gainAllowance } from "./allowance-headers.ts";

const requests = { limit: 60, remaining: 59, resetMs: 1_000 };
const NONE = { requests: null, tokens: null };

function toAllowanceHeaders(allowance: Allowance): Record<string, string> {
  const headers = {};
  gainAllowance(headers, allowance);
  return headers;
}

describe("gainAllowance", () => {
  test("tells both limits in OpenAI's way and in the IETF's", () => {
    const tokens = { limit: 40_000, remaining: 0, resetMs: 59_001 };

    expect(toAllowanceHeaders({ requests, tokens, ofModel: NONE })).toEqual({
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

  test("tells a model's limits apart from the key's, and the tighter one in OpenAI's way", () => {
    const ofModel = {
      requests: { limit: 3, remaining: 2, resetMs: 20_000 },
      tokens: { limit: 500, remaining: 500, resetMs: 0 },
    };
    const tokens = { limit: 100, remaining: 7, resetMs: 55_800 };

    expect(toAllowanceHeaders({ requests, tokens, ofModel })).toEqual({
      "x-ratelimit-limit-requests": "3",
      "x-ratelimit-remaining-requests": "2",
      "x-ratelimit-reset-requests": "20s",
      "x-ratelimit-limit-tokens": "100",
      "x-ratelimit-remaining-tokens": "7",
      "x-ratelimit-reset-tokens": "55.8s",
      ratelimit:
        '"requests";r=59;t=1, "tokens";r=7;t=56, "model-requests";r=2;t=20, "model-tokens";r=500;t=0',
      "ratelimit-policy":
        '"requests";q=60;w=60, "tokens";q=100;qu="tokens";w=60, "model-requests";q=3;w=60, "model-tokens";q=500;qu="tokens";w=60',
    });
  });

  test("says nothing of limits that there are not", () => {
    const names = Object.keys(toAllowanceHeaders({ ...NONE, requests, ofModel: NONE }));

    expect(names.filter((name) => name.includes("tokens"))).toEqual([]);
    expect(toAllowanceHeaders({ ...NONE, ofModel: NONE })).toEqual({});
  });

  test.for([
    [0, "0ms"],
    [12, "12ms"],
    [8_640, "8.64s"],
    [360_000, "6m0s"],
    [90_500, "1m30.5s"],
    [3_600_000, "1h0m0s"],
  ] as const)("writes %i ms as %s", ([resetMs, text]) => {
    const headers = toAllowanceHeaders({
      requests: { ...requests, resetMs },
      tokens: null,
      ofModel: NONE,
    });

    expect(headers["x-ratelimit-reset-requests"]).toBe(text);
  });
});
