import { resolve } from "node:path";

import { describe, expect, test } from "vitest";

import { readCommandLine, type Command } from "./command-line.ts";
import { UsageError } from "./usage-error.ts";

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

  test("reads commands of two words, and a key for its id", () => {
    const key = `hr_k3m8x0q2_${"a".repeat(48)}`;

    expect(optionsOf("keys", "create", "A backend", "--scopes", "read", "--expires=90d")).toEqual({
      "data-dir": resolve(".data"),
      json: false,
      positionals: ["A backend"],
      scopes: ["read"],
      expires: 90 * 24 * 3_600,
    });
    expect(optionsOf("keys", "rotate", key, "--overlap", "0")).toMatchObject({
      positionals: ["k3m8x0q2"],
      overlap: 0,
    });
    expect(optionsOf("tenants", "set", "acme", "--weight", "2.5")).toMatchObject({
      positionals: ["acme"],
      weight: 2.5,
    });
    expect(readCommandLine(["keys", "list", "--help"])).toEqual({ name: "help", of: "keys list" });
    expect(readCommandLine(["help", "keys", "list"])).toEqual({ name: "help", of: "keys list" });
    expect(readCommandLine(["keys", "--help"])).toEqual({ name: "help", of: "keys" });
    expect(readCommandLine(["help", "keys"])).toEqual({ name: "help", of: "keys" });
  });

  test("reads what is asked of webhooks", () => {
    expect(readCommandLine(["webhooks", "listen", "--events", "job.*,batch.failed"])).toMatchObject(
      {
        name: "webhooks listen",
        options: { events: ["job.*", "batch.failed"], port: 0, host: "127.0.0.1" },
      },
    );
    expect(optionsOf("webhooks", "replay", "whe_1", "--since", "2h")).toMatchObject({
      since: 7_200,
    });
    expect(optionsOf("webhooks", "log")).toMatchObject({ positionals: [], failed: false });
    expect(faultOf("webhooks")).toContain("expected listen, list, create");
    expect(faultOf("webhooks", "listen", "--events", "job.started")).toContain("expected some of");
    expect(faultOf("webhooks", "create", "ftp://a.example")).toContain("expected an https URL");
    expect(faultOf("webhooks", "rotate", "whd_1")).toContain("webhooks list");
    expect(faultOf("webhooks", "replay", "job_1")).toContain("whd_…");
    expect(faultOf("submit", "hi", "--webhook", "nowhere")).toContain("--webhook");
  });

  test("reads what is asked of a batch", () => {
    const line =
      "batch run - -o a.jsonl --endpoint embeddings --format=csv --metadata run=7,note=a=b --completion-window 90m --temperature 0";
    const options = optionsOf(...line.split(" "));

    expect(options).toMatchObject({
      positionals: ["-"],
      output: "a.jsonl",
      endpoint: "/v1/embeddings",
      format: "csv",
      metadata: { run: "7", note: "a=b" },
      "completion-window": "90m",
      temperature: 0,
      "dry-run": false,
    });
    expect(readCommandLine(["help", "batch"])).toEqual({ name: "help", of: "batch" });
    expect(readCommandLine(["help", "batch", "run"])).toEqual({ name: "help", of: "batch run" });
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
    [["keys"], "keys: expected create, list, rotate, revoke"],
    [["keys", "make"], 'keys: expected create, list, rotate, revoke, found "make"'],
    [["keys", "create"], "expected one name"],
    [["keys", "create", " "], "expected a name"],
    [["keys", "create", "x", "--scopes", "write"], "--scopes: expected some of submit,read,admin"],
    [["keys", "create", "x", "--expires", "soon"], "--expires: expected a time such as 12h or 90d"],
    [["keys", "create", "x", "--tenant", "a b"], /^--tenant: expected up to 64 letters/],
    [["keys", "create", "x", "--queued-jobs", "0"], "--queued-jobs: expected a whole number"],
    [["keys", "create", "x", "--monthly-cost", "0"], "--monthly-cost: expected an amount"],
    [
      ["keys", "rotate", "x", "--overlap", "31d"],
      /expected the 8 characters[^]*--overlap: expected/,
    ],
    [["keys", "revoke"], "expected one key id"],
    [["tenants", "set", "acme"], "--weight: required, a number from 0.01 to 100"],
    [["tenants", "set", "acme", "--weight", "0"], "--weight: expected a number from 0.01 to 100"],
    [["batch"], "batch: expected run, status, results, cancel, list"],
    [["batch", "run"], "expected one input: a file, or - for standard input"],
    [["batch", "run", "a", "--metadata", "x"], "--metadata: expected pairs, as in run=7,team=data"],
    [["batch", "run", "a", "--completion-window", "8d"], "--completion-window: expected whole"],
    [["batch", "run", "a", "--template", "no hole"], "--template: expected a text with a field"],
    [["batch", "run", "a", "--temperature", "3"], "--temperature: expected a number, 0 to 2"],
    [["batch", "run", "a", "--endpoint", "images"], "--endpoint: expected chat, completions"],
    [["batch", "run", "a", "--gpu-hour-price", "0"], "--gpu-hour-price: expected a number above 0"],
    [["batch", "status", "job_1"], "expected an id as `batch run` prints it: batch_…"],
    [["get", "../keys"], "expected an id as `submit` prints it: job_…"],
  ] as const)("says what is wrong with %j", ([argv, fault]) => {
    expect(faultOf(...argv)).toMatch(fault);
  });

  test("names every fault at once", () => {
    expect(faultOf("up", "--port", "x", "--workers", "0").split("\n")).toHaveLength(2);
  });
});
