import { describe, expect, test } from "vitest";

import { completionWindowSchema, windowMsOf } from "./completion-window.ts";

describe("completion windows", () => {
  test.for([
    ["1m", 60_000],
    ["90m", 5_400_000],
    ["1h", 3_600_000],
    ["24h", 86_400_000],
    ["7d", 604_800_000],
    ["168h", 604_800_000],
  ] as const)("%s is a promise", ([text, ms]) => {
    expect(windowMsOf(completionWindowSchema.parse(text))).toBe(ms);
  });

  test.for([
    "0m",
    "30s",
    "8d",
    "169h",
    "10081m",
    "1.5h",
    "24",
    "h",
    "24 h",
    "-1h",
    "01h",
    "24H",
    "",
  ])("%s is none, and the bounds are named", (text) => {
    const parsed = completionWindowSchema.safeParse(text);

    expect(parsed.error?.issues[0]?.message).toContain("from 1m to 7d");
  });
});
