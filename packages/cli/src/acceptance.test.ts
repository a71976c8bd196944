import { once } from "node:events";
import { createServer } from "node:http";

import { Headrace } from "@headrace/client";
import { describe, expect, test as plainTest } from "vitest";

import { readCommandLine, type Command } from "./command-line.ts";
import { cancelJob, retryJob, submitJob, type JobContext } from "./job-commands.ts";
import { testTerminal } from "./test-output.ts";

interface Refusal {
  readonly status: number;
  readonly code: string;
}

/** A server that refuses everything alike, and remembers the keys it was sent. */
const test = plainTest.extend("refuse", async ({}, { onCleanup }) => {
  let refusal: Refusal = { status: 503, code: "queue_unavailable" };
  const keys: unknown[] = [];
  const server = createServer((request, response) => {
    keys.push(request.headers["idempotency-key"]);
    const error = { message: "not now", type: "t", param: null, code: refusal.code };
    response.writeHead(refusal.status, { "content-type": "application/json" });
    response.end(JSON.stringify({ error }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onCleanup(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return (
    next: Refusal,
    firstPauseMs = 1,
  ): { readonly context: JobContext; readonly keys: readonly unknown[] } => {
    refusal = next;
    const headrace = new Headrace({
      url: `http://127.0.0.1:${port}`,
      apiKey: "hr_test",
      timing: { firstPauseMs },
    });
    const terminal = { ...testTerminal(), flags: "--url http://gpu " };
    return { context: { headrace, terminal, signal: new AbortController().signal }, keys };
  };
});

/** Run a command that fails. @returns what it failed with */
async function run(context: JobContext, ...argv: string[]): Promise<unknown> {
  return execute(readCommandLine(argv), context).catch((error: unknown) => error);
}

async function execute(command: Command, context: JobContext): Promise<number> {
  if (command.name === "submit") return submitJob(command.options, context);
  if (command.name === "retry") return retryJob(command.options, context);
  if (command.name === "cancel") return cancelJob(command.options, context);
  throw new Error(`${command.name} is not tried here`);
}

const unavailable = { status: 503, code: "queue_unavailable" };

describe("a job that may have been accepted", () => {
  test.for([
    ["submit", "--model", "m", "hi"],
    ["retry", "job_a_1"],
  ])("is told of with the key under which `%s` repeats it", async (argv, { refuse }) => {
    const { context, keys } = refuse(unavailable);
    const failure = await run(context, ...argv);

    expect(new Set(keys).size).toBe(1);
    expect(failure).toMatchObject({ name: "CommandFailure", exitCode: 1 });
    expect(String(failure)).toMatch(/not now[^]*may have been accepted all the same/);
    expect(String(failure)).toContain(
      `headrace ${argv[0]} --url http://gpu --idempotency-key ${String(keys[0])} …`,
    );
    expect(String(failure)).not.toContain("Nothing was accepted");
  });

  test("is repeated under the key that the user gives", async ({ refuse }) => {
    const { context, keys } = refuse(unavailable);
    await run(context, "submit", "--model", "m", "--idempotency-key", "mine", "hi");

    expect(new Set(keys)).toEqual(new Set(["mine"]));
  });

  test.for([
    { status: 503, code: "queue_full" },
    { status: 429, code: "rate_limited" },
    { status: 400, code: "request_invalid" },
  ])("is none where the server has refused it: $code", async (refusal, { refuse }) => {
    const failure = await run(refuse(refusal).context, "submit", "--model", "m", "hi");

    expect(failure).toMatchObject({ name: "HeadraceError", code: refusal.code });
  });

  test("is told of, too, to a user who does not wait for the answer", async ({ refuse }) => {
    const { context, keys } = refuse(unavailable, 60_000);
    const stopped = { ...context, signal: AbortSignal.timeout(300) };
    const failure = await run(stopped, "submit", "--model", "m", "hi");

    expect(failure).toMatchObject({ name: "CommandFailure", exitCode: 130 });
    expect(String(failure)).toContain(`--idempotency-key ${String(keys[0])} …`);
  });

  test("is none where no job was asked for", async ({ refuse }) => {
    const failure = await run(refuse(unavailable).context, "cancel", "job_a_1");

    expect(failure).toMatchObject({ name: "HeadraceError", code: "queue_unavailable" });
  });
});
