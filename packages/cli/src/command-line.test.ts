import { resolve } from "node:path";

import { describe, expect, test } from "vitest";

import { readCommandLine, UsageError, type Command } from "./command-line.ts";

const faultOf = (...argv: string[]): string => {
  try {
    readCommandLine(argv);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
  }
  return "none";
};

const optionsOf = (...argv: string[]): unknown => {
  const command: Command = readCommandLine(argv);
  return "options" in command ? command.options : null;
};

describe("readCommandLine", () => {
  test("knows what `up` does unless told otherwise", () => {
    expect(readCommandLine(["up"])).toEqual({
      name: "up",
      options: {
        port: 8_080,
        host: "127.0.0.1",
        "data-dir": resolve(".data"),
        workers: 1,
        once: false,
        verbose: false,
      },
    });
  });

  test("takes an engine's URL with and without its /v1", () => {
    for (const url of [
      "http://gpu:8000",
      "http://gpu:8000/",
      "http://gpu:8000/v1",
      "http://gpu:8000/v1/",
    ]) {
      expect(optionsOf("up", "--engine-url", url)).toMatchObject({
        "engine-url": "http://gpu:8000",
      });
    }
  });

  test("reads a prompt, names for endpoints, and times in units", () => {
    const options = optionsOf("submit", "hi", "--endpoint=completions", "--deadline", "5m");

    expect(options).toMatchObject({
      positionals: ["hi"],
      endpoint: "/v1/completions",
      deadline: 300,
    });
    expect(optionsOf("submit", "-")).toMatchObject({ positionals: ["-"] });
    expect(optionsOf("submit", "--", "--help")).toMatchObject({ positionals: ["--help"] });
  });

  test("shows a job, or its timeline", () => {
    expect(optionsOf("get", "job_a_1")).toMatchObject({ timeline: false, json: false });
    expect(optionsOf("get", "--timeline", "job_a_1", "--json")).toMatchObject({
      positionals: ["job_a_1"],
      timeline: true,
      json: true,
    });
  });

  test("gives help also where the rest makes no sense", () => {
    expect(readCommandLine([])).toEqual({ name: "help", of: null });
    expect(readCommandLine(["help", "up"])).toEqual({ name: "help", of: "up" });
    expect(readCommandLine(["submit", "--frob", "-h"])).toEqual({ name: "help", of: "submit" });
  });

  test.for([
    [["frob"], 'there is no command "frob"'],
    [["up", "--prot", "1"], "Unknown option '--prot'"],
    [["up", "8080"], '"8080" is not a flag'],
    [["up", "--port", "x"], "--port: expected a number"],
    [["up", "--port", "65536"], "--port: expected a port, 0 to 65535"],
    [["up", "--port", "1.5"], "--port: expected a port, 0 to 65535"],
    [["up", "--workers", "0"], "--workers: expected a whole number, 1 to 64"],
    [["up", "--workers", "65"], "--workers: expected a whole number, 1 to 64"],
    [["up", "--redis-port", "0"], "--redis-port: expected a port, 1 to 65535"],
    [["submit", "a", "--max-tokens", "0"], "--max-tokens: expected a whole number, 1 or more"],
    [["up", "--redis-url", "http://x"], "--redis-url: expected redis://host:port"],
    [["submit"], "expected one prompt"],
    [["submit", "a", "b"], "expected one prompt"],
    [["submit", ""], "expected a prompt"],
    [["submit", "a", "--deadline", "5x"], /^--deadline: expected a time such as 30s/],
    [["submit", "a", "--priority", "high"], "--priority: expected interactive, standard, batch"],
    [["submit", "a", "--idempotency-key", "a b"], "--idempotency-key: expected 1 to 255 ASCII"],
    [["retry"], "expected one job id"],
    [["retry", "job_a_1", "job_a_2"], "expected one job id"],
    [["retry", "job_a_1", "--priority", "batch"], "Unknown option '--priority'"],
    [["get", "../keys"], "expected an id as `submit` prints it: job_…"],
  ] as const)("says what is wrong with %j", ([argv, fault]) => {
    expect(faultOf(...argv)).toMatch(fault);
  });

  test("names every fault at once", () => {
    expect(faultOf("up", "--port", "x", "--workers", "0").split("\n")).toHaveLength(2);
  });
});
