import { readFileSync } from "node:fs";

import { HeadraceError, type Headrace } from "@headrace/client";
import { ConfigurationError } from "@headrace/runtime";
import { z } from "zod";

import { runBatchCommand } from "./batch/batch-commands.ts";
import { isBatchName, type BatchCommand } from "./batch/batch-flags.ts";
import { dryRun } from "./batch/dry-run.ts";
import { readCommandLine, type Command } from "./command-line.ts";
import { UsageError } from "./usage-error.ts";
import { connect, flagsFor, type ConnectionOptions } from "./connection.ts";
import { doctor } from "./doctor.ts";
import { readOwnEnvironment } from "./environment.ts";
import { CommandFailure, describeApiError, INTERRUPTED } from "./failure.ts";
import {
  cancelJob,
  getJob,
  retryJob,
  submitJob,
  watchJob,
  type JobContext,
} from "./job-commands.ts";
import {
  createKey,
  listKeys,
  listTenants,
  revokeKey,
  rotateKey,
  setTenant,
} from "./key-commands.ts";
import { paint, type Terminal } from "./terminal.ts";
import { up } from "./up.ts";
import { showUsage } from "./usage-view.ts";
import { helpOf, usageOf } from "./usage.ts";
import { runWebhookCommand } from "./webhook-commands.ts";
import { isWebhookName, type WebhookCommand } from "./webhook-flags.ts";

const BAD_USAGE = 2;

/**
 * Run `headrace` with the arguments that came after its name.
 *
 * @returns the exit code: 0 done, 1 failed, 2 bad usage, 130 interrupted
 */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await execute(readCommandLine(argv), terminal);
  } catch (error) {
    return report(error, terminal);
  }
}

async function execute(command: Command, terminal: Terminal): Promise<number> {
  if (isWebhookCommand(command)) {
    return withJobs(command.options, terminal, (context) => runWebhookCommand(command, context));
  }
  if (isBatchCommand(command)) return executeBatch(command, terminal);
  switch (command.name) {
    case "help":
      terminal.out.write(`${helpOf(command.of)}\n`);
      return 0;
    case "version":
      terminal.out.write(`${readVersion()}\n`);
      return 0;
    case "up":
      return up(command.options, readOwnEnvironment(), terminal);
    case "submit":
      return withJobs(command.options, terminal, (context) => submitJob(command.options, context));
    case "watch":
      return withJobs(command.options, terminal, (context) => watchJob(command.options, context));
    case "get":
      return withJobs(command.options, terminal, (context) => getJob(command.options, context));
    case "cancel":
      return withJobs(command.options, terminal, (context) => cancelJob(command.options, context));
    case "doctor":
      return doctor(command.options, readOwnEnvironment(), terminal);
    case "usage":
      return withJobs(command.options, terminal, (context) => showUsage(command.options, context));
    case "retry":
      return withJobs(command.options, terminal, (context) => retryJob(command.options, context));
    case "keys create":
      return withJobs(command.options, terminal, (context) => createKey(command.options, context));
    case "keys list":
      return withJobs(command.options, terminal, (context) => listKeys(command.options, context));
    case "keys rotate":
      return withJobs(command.options, terminal, (context) => rotateKey(command.options, context));
    case "keys revoke":
      return withJobs(command.options, terminal, (context) => revokeKey(command.options, context));
    case "tenants list":
      return withJobs(command.options, terminal, (context) =>
        listTenants(command.options, context),
      );
    case "tenants set":
      return withJobs(command.options, terminal, (context) => setTenant(command.options, context));
  }
}

function isWebhookCommand(command: Command): command is WebhookCommand {
  return isWebhookName(command.name);
}

function isBatchCommand(command: Command): command is BatchCommand {
  return isBatchName(command.name);
}

async function executeBatch(command: BatchCommand, terminal: Terminal): Promise<number> {
  if (command.name !== "batch run" || !command.options["dry-run"]) {
    return withJobs(command.options, terminal, (context) => runBatchCommand(command, context));
  }
  const { options } = command;
  const headrace = findHeadrace(options, terminal);
  return interruptibly((signal) => dryRun(options, { headrace, terminal, signal }));
}

/** The Headrace that is meant, if there is a key for one. */
function findHeadrace(options: ConnectionOptions, terminal: Terminal): Headrace | null {
  try {
    return connect(options, readOwnEnvironment(), terminal);
  } catch (error) {
    if (error instanceof CommandFailure) return null;
    throw error;
  }
}

/** Do `work` on the jobs of a Headrace, until Ctrl-C. */
async function withJobs(
  options: ConnectionOptions,
  terminal: Terminal,
  work: (context: JobContext) => Promise<number>,
): Promise<number> {
  const headrace = connect(options, readOwnEnvironment(), terminal);
  const hinting = { ...terminal, flags: flagsFor(options) };
  return interruptibly((signal) => work({ headrace, terminal: hinting, signal }));
}

/** Do `work`. Ctrl-C aborts it; further ones change nothing. */
async function interruptibly(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  process.on("SIGINT", stop);
  try {
    return await work(interrupt.signal);
  } catch (error) {
    // What a command has to say all the same is for the user to know.
    if (interrupt.signal.aborted && !(error instanceof CommandFailure)) return INTERRUPTED;
    throw error;
  } finally {
    process.off("SIGINT", stop);
  }
}

function report(error: unknown, { err }: Terminal): number {
  const tell = (message: string): void => err.write(`${paint(err, "red", "✗")} ${message}\n`);
  if (error instanceof UsageError) {
    tell(`${error.message}\n${usageOf(error.command)}`);
    return BAD_USAGE;
  }
  if (error instanceof CommandFailure) {
    tell(error.message);
    return error.exitCode;
  }
  if (error instanceof HeadraceError) {
    tell(describeApiError(error));
    return 1;
  }
  if (error instanceof ConfigurationError) {
    tell(error.message);
    return BAD_USAGE;
  }
  throw error;
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  return z.object({ version: z.string() }).parse(manifest).version;
}
