import { readEnvironment } from "@headrace/runtime";
import { expect, test } from "vitest";

import { environmentSchema } from "./environment.ts";

test.for([
  [{}, "HEADRACE_API_KEY: required, at least 16 characters"],
  [{ HEADRACE_API_KEY: "short" }, "HEADRACE_API_KEY: expected at least 16 characters"],
] as const)("says what an API key must be, given %j", ([environment, fault]) => {
  expect(() => readEnvironment(environmentSchema, environment)).toThrow(fault);
});

const KEY = { HEADRACE_API_KEY: "hr_test_0123456789abcdef" };

test("reads the origins whose pages are let in", () => {
  const origins = " https://app.example.com, http://localhost:5173,";
  const environment = { ...KEY, INGRESS_CORS_ORIGINS: origins };

  expect(readEnvironment(environmentSchema, environment).INGRESS_CORS_ORIGINS).toEqual([
    "https://app.example.com",
    "http://localhost:5173",
  ]);
  expect(readEnvironment(environmentSchema, KEY).INGRESS_CORS_ORIGINS).toEqual([]);
});

test.for([
  "*",
  "null",
  "app.example.com",
  "https://app.example.com/",
  "https://*.example.com",
  "https://APP.example.com",
  "https://app.example.com:443",
  "file:///home",
])("refuses %s as an origin", (origin) => {
  const environment = { ...KEY, INGRESS_CORS_ORIGINS: `https://app.example.com,${origin}` };

  expect(() => readEnvironment(environmentSchema, environment)).toThrow(
    "INGRESS_CORS_ORIGINS.1: expected exact origins",
  );
});
