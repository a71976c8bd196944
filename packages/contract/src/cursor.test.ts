import { describe, expect, test } from "vitest";

import { cursorSchema, follows, formatCursor, isAfter, parseCursor, START } from "./cursor.ts";

const at = parseCursor;

describe("a cursor", () => {
  test("reads and writes alike", () => {
    expect(formatCursor(at("3-17"))).toBe("3-17");
    expect(at("3-17")).toEqual({ epoch: 3, index: 17 });
  });

  test.each([
    ["1-1", "1-0", true],
    ["2-0", "1-99", true],
    ["1-0", "1-0", false],
    ["1-99", "2-0", false],
  ])("%s is after %s: %s", (a, b, expected) => {
    expect(isAfter(at(a), at(b))).toBe(expected);
  });

  test.each([
    ["0-1", START, true],
    ["1-0", START, true],
    ["1-1", at("1-0"), true],
    ["1-2", at("1-0"), false],
    ["2-0", at("1-40"), true],
    ["2-1", at("1-40"), false],
    ["1-0", at("1-0"), false],
  ])("%s follows %o: %s", (next, before, expected) => {
    expect(follows(at(next), before)).toBe(expected);
  });

  test.each(["", "1", "1-", "-1", "1-2-3", "a-b", "1-2 ", "99999999999-0", "1.5-2", "+1-2"])(
    "is not %j",
    (text) => {
      expect(cursorSchema.safeParse(text).success).toBe(false);
    },
  );
});
