import { describe, expect, test } from "vitest";

import { findJobId, jobIdSchema, modelCodeOf, modelCodeSchema, newJobId } from "./job-id.ts";

const code = modelCodeSchema.parse("4n9hn1");

describe("a job id", () => {
  test("names the slot its keys live in", () => {
    expect(modelCodeOf(newJobId(code))).toBe("4n9hn1");
  });

  test("reads back as what it is", () => {
    const id = newJobId(code);

    expect(findJobId(String(id))).toBe(id);
    expect(id).toMatch(/^job_4n9hn1_[0-9a-hjkmnp-tv-z]{26}$/);
  });

  test("is not made twice", () => {
    const ids = Array.from({ length: 10_000 }, () => newJobId(code));

    expect(new Set(ids).size).toBe(ids.length);
  });

  test("uses all of its 128 bits", () => {
    const letters = Array.from({ length: 2_000 }, () => newJobId(code).split("_")[2] ?? "");

    for (let place = 0; place < 25; place += 1) {
      expect(new Set(letters.map((text) => text[place])).size).toBe(32);
    }
    // The last holds the three bits that are left over: 25 × 5 + 3 = 128.
    expect(new Set(letters.map((text) => text[25])).size).toBe(8);
  });

  test.each([
    "",
    "job_",
    "job_4n9hn1_short",
    "job_4n9hn1_0000000000000000000000000:",
    "job_4N9HN1_00000000000000000000000000",
    "job_4n9hn1_00000000000000000000000000\n",
    "resp_4n9hn1_00000000000000000000000000",
    null,
    7,
  ])("is not %j", (text) => {
    expect(findJobId(text)).toBeNull();
    expect(jobIdSchema.safeParse(text).success).toBe(false);
  });
});
