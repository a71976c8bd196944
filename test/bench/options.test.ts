import { describe, expect, test } from "vitest";

import { readOptions, UsageError } from "./options.ts";

const KNOWN = ["cpu", "streams", "memory"];

describe("the command line", () => {
  test("runs everything once unless told otherwise", () => {
    expect(readOptions([], KNOWN)).toEqual({ json: null, only: KNOWN, runs: 1, profile: null });
  });

  test("takes names one by one or in a list, and keeps the known order", () => {
    const { only } = readOptions(["--only", "memory,streams", "--only", "cpu"], KNOWN);

    expect(only).toEqual(KNOWN);
  });

  test("runs only what it names", () => {
    expect(readOptions(["--only", "streams"], KNOWN).only).toEqual(["streams"]);
  });

  test("takes files, folders and a number of runs", () => {
    const options = readOptions(["--json", "a.json", "--runs", "3", "--profile", "b"], KNOWN);

    expect(options).toMatchObject({ json: "a.json", runs: 3, profile: "b" });
  });

  test("names the benchmarks when one is unknown", () => {
    expect(() => readOptions(["--only", "cpu,speed"], KNOWN)).toThrow(
      new UsageError("--only speed: expected some of cpu, streams, memory"),
    );
  });

  test.each(["0", "1.5", "many", "21"])("does not run %s times", (runs) => {
    expect(() => readOptions(["--runs", runs], KNOWN)).toThrow(
      new UsageError(`--runs ${runs}: expected a whole number from 1 to 20`),
    );
  });

  test.each([[["--fast"]], [["cpu"]], [["--json"]]])("refuses %j", (argv) => {
    expect(() => readOptions(argv, KNOWN)).toThrow(UsageError);
  });
});
