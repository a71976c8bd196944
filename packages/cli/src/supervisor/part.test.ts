import { once } from "node:events";
import { createServer } from "node:http";

import { describe, expect, test as plainTest } from "vitest";

import { Part, type PartHooks, type PartPlan } from "./part.ts";

/** What a part told, and promises of what it tells next. */
class Told implements PartHooks {
  readonly pids: number[] = [];
  readonly lines: string[] = [];
  readonly restarted = Promise.withResolvers<string>();
  readonly startedAgain = Promise.withResolvers<void>();
  readonly failed = Promise.withResolvers<Error>();

  readonly onStart = (pid: number): void => {
    this.pids.push(pid);
    if (this.pids.length === 2) this.startedAgain.resolve();
  };
  readonly onReady = (): void => undefined;
  readonly onSlow = (): void => undefined;
  readonly onLine = (line: string): void => void this.lines.push(line);
  readonly onRestart = (how: string): void => this.restarted.resolve(how);
  readonly onFailure = (failure: Error): void => this.failed.resolve(failure);
}

const never = new AbortController().signal;

const planOf = (script: string, more: Partial<PartPlan> = {}): PartPlan => ({
  name: "thing",
  program: { command: "sh", args: ["-c", script] },
  readiness: { line: /ready/ },
  readyMs: 5_000,
  ...more,
});

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

const test = plainTest
  .extend("told", () => new Told())
  .extend("make", async ({ told }, { onCleanup }) => {
    const parts: Part[] = [];
    onCleanup(() => parts.forEach((part) => part.kill()));
    return (script: string, more: Partial<PartPlan> = {}): Part => {
      const part = new Part(planOf(script, more), told);
      parts.push(part);
      return part;
    };
  });

describe("Part", () => {
  test("is ready at its word, and gone once it was stopped", async ({ make, told }) => {
    const part = make("echo hello; echo ready; exec sleep 60");
    await part.start(never);
    const [pid = 0] = told.pids;

    expect(told.lines).toEqual(["hello", "ready"]);
    expect(isAlive(pid)).toBe(true);
    await part.stop();
    expect(isAlive(pid)).toBe(false);
  });

  test("is started again when it ends unasked", async ({ make, told }) => {
    const part = make("echo ready; exec sleep 60");
    await part.start(never);
    process.kill(told.pids[0] ?? 0, "SIGKILL");

    expect(await told.restarted.promise).toBe("ended by SIGKILL");
    await told.startedAgain.promise;
    await part.stop();
    expect(told.pids.map(isAlive)).toEqual([false, false]);
  });

  test("is not started again while it is being stopped", async ({ make, told }) => {
    const part = make("echo ready; sleep 0.1; exit 3");
    await part.start(never);
    await told.restarted.promise;
    await part.stop();

    expect(told.pids).toHaveLength(1);
  });

  test("shows the last words of one that ends before it was ready", async ({ make }) => {
    const line = `{"msg":"failed","error":{"message":"no such luck"}}`;
    const part = make(`echo '${line}' >&2; exit 7`, { advice: "Have luck." });

    await expect(part.start(never)).rejects.toThrow(
      "thing ended with exit code 7.\n  failed: no such luck\nHave luck.",
    );
  });

  test("knows a full disk by its words", async ({ make }) => {
    const part = make("echo 'write: No space left on device'; exit 1");

    await expect(part.start(never)).rejects.toThrow("The disk is full.");
  });

  test("says so when a program is not there, or not ready in time", async ({ make }) => {
    const missing = make("", { program: { command: "/no/such/program", args: [] } });
    await expect(missing.start(never)).rejects.toThrow(/could not be started: spawn/);

    const slow = make("exec sleep 60", { readyMs: 50 });
    await expect(slow.start(never)).rejects.toThrow("was not ready within 0.05 s");
  });

  test.for([
    ["Redis cannot be reached", "It says: Redis cannot be reached\nLook for it."],
    ["Redis evicts keys", "It says: Redis evicts keys"],
  ] as const)("has advice only where it fits: %s", async ([objection, end], { make }) => {
    const server = createServer((_request, response) => response.writeHead(503).end(objection));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const part = make("exec sleep 60", {
      readiness: { url: `http://127.0.0.1:${port}/readyz` },
      readyMs: 1_000,
      advice: "Look for it.",
      adviceFits: /cannot be reached/,
    });

    await expect(part.start(never)).rejects.toMatchObject({
      message: `thing was not ready within 1 s.\n${end}`,
    });
    server.close();
  });

  test("gives up its start when told to", async ({ make }) => {
    const abort = new AbortController();
    const part = make("exec sleep 60");
    const starting = part.start(abort.signal);
    abort.abort();

    await expect(starting).rejects.toThrow(/abort/i);
    await part.stop();
  });

  test("reads its input, which no command line shows", async ({ make, told }) => {
    const program = { command: "sh", args: ["-c", "cat; exec sleep 60"], input: "secret ready\n" };
    const part = make("", { program });
    await part.start(never);

    expect(told.lines).toEqual(["secret ready"]);
    await part.stop();
  });
});
