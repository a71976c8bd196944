import { describe, expect, test } from "vitest";

import { readOptions } from "./options.ts";

const KNOWN = ["mixed", "soak"];

describe("the command line", () => {
  test("asks for all classes at full size, with a seed of its own each time", () => {
    const first = readOptions([], KNOWN);

    expect(first).toMatchObject({ only: KNOWN, size: "full" });
    expect(readOptions([], KNOWN).seed).not.toBe(first.seed);
  });

  test("repeats what a seed did, of one class, at either size", () => {
    const options = readOptions(["--seed", "42", "--only", "soak", "--size", "small"], KNOWN);

    expect(options).toEqual({ seed: 42, only: ["soak"], size: "small" });
  });

  test.for([
    [["--seed", "x"], "--seed x: expected a whole number from 0 to 4294967295"],
    [["--seed", "-1"], /seed/],
    [["--only", "mixed,what"], "--only what: expected some of mixed, soak"],
    [["--size", "huge"], "--size huge: expected small or full"],
    [["--speed", "1"], /Unknown option '--speed'/],
  ] as const)("is refused with reasons: %j", ([argv, message]) => {
    expect(() => readOptions(argv, KNOWN)).toThrow(message);
  });
});
