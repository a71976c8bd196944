import { expect, test } from "vitest";

import { modelCodeSchema, newJobId } from "./job-id.ts";
import { findResponseJob, responseIdOf } from "./response-id.ts";

test("a response's id names its job", () => {
  const job = newJobId(modelCodeSchema.parse("ab12"));

  expect(responseIdOf(job)).toMatch(/^resp_ab12_[0-9a-z]{26}$/);
  expect(findResponseJob(responseIdOf(job))).toBe(job);
});

test("what is no response's id has no job", () => {
  const job = newJobId(modelCodeSchema.parse("ab12"));
  const others = [job, "", "resp_", "resp_ab12_x", `resp_${job}`, 7, null, undefined];

  expect(others.map(findResponseJob)).toEqual(others.map(() => null));
});
