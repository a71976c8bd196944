import { readEnvironment } from "@headrace/runtime";
import { expect, test } from "vitest";

import { environmentSchema } from "./environment.ts";

test.for([
  [{}, "HEADRACE_API_KEY: required, at least 16 characters"],
  [{ HEADRACE_API_KEY: "short" }, "HEADRACE_API_KEY: expected at least 16 characters"],
] as const)("says what an API key must be, given %j", ([environment, fault]) => {
  expect(() => readEnvironment(environmentSchema, environment)).toThrow(fault);
});
