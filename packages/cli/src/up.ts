import type { Submit } from "@headrace/contract";
import { Headrace, HeadraceError } from "@headrace/client";
import { whenAborted } from "@headrace/runtime";

import type { UpOptions } from "./platform-flags.ts";
import { flagsFor } from "./connection.ts";
import { DataDirectory } from "./data-directory.ts";
import { formatDuration } from "./duration.ts";
import { describeApiError } from "./failure.ts";
import type { Environment } from "./environment.ts";
import { JobWatch } from "./job-watch.ts";
import { RunRecord } from "./run-record.ts";
import { renderServing } from "./serving-screen.ts";
import { whileStoppable } from "./stop-signals.ts";
import { renderSummary } from "./summary.ts";
import { describeLacks } from "./supervisor/log-line.ts";
import { Platform, type PlatformReport } from "./supervisor/platform.ts";
import { paint, type Terminal } from "./terminal.ts";

/** What a shell expects of a command that Ctrl-C ended. */
const INTERRUPTED = 130;
/** A first job may meet an engine that is still warming up, ms. */
const SAMPLE_MS = 120_000;
const NAME_WIDTH = 10;

/**
 * Run all of Headrace on this machine until it is told to stop, or with `once` until a first job
 * has gone through it.
 *
 * @returns the exit code
 * @throws CommandFailure when it cannot start, or cannot be kept running
 */
export async function up(
  options: UpOptions,
  environment: Environment,
  terminal: Terminal,
): Promise<number> {
  const directory = new DataDirectory(options["data-dir"]);
  directory.create();
  const run = await RunRecord.take(directory);
  try {
    const ownKey = environment.HEADRACE_API_KEY ?? null;
    const { key, isNew } =
      ownKey === null ? directory.ensureApiKey() : { key: ownKey, isNew: false };
    const report = reportTo(terminal, options.verbose);
    const platform = new Platform({
      up: options,
      environment,
      directory,
      apiKey: key,
      run,
      report,
    });
    const access = { apiKey: key, newKey: isNew ? key : null, hasOwnKey: ownKey !== null };
    return await whileStoppable(
      async (signal) => serve({ options, platform, directory, terminal, ...access }, signal),
      () => {
        platform.kill();
        run.release();
      },
    );
  } finally {
    run.release();
  }
}

/** What serving works with. */
interface Session {
  readonly options: UpOptions;
  readonly platform: Platform;
  readonly directory: DataDirectory;
  readonly terminal: Terminal;
  readonly apiKey: string;
  readonly newKey: string | null;
  readonly hasOwnKey: boolean;
}

async function serve(session: Session, stop: AbortSignal): Promise<number> {
  const { options, platform, terminal } = session;
  const end = AbortSignal.any([stop, platform.failure]);
  let isServing = false;
  try {
    const url = await platform.start(end);
    const probe = await platform.engine();
    const lacks = describeLacks(probe);
    if (lacks !== null) terminal.err.write(`  ${lacks}\n`);
    const [model = ""] = probe.models;
    const isFine = await runSample(session, { url, model }, end);
    if (options.once) return isFine ? 0 : 1;

    isServing = true;
    const { directory, newKey, hasOwnKey } = session;
    const { command } = terminal;
    const flags = flagsFor({ "data-dir": directory.path });
    const screen = { url, model, directory, newKey, hasOwnKey, command, flags };
    terminal.err.write(`\n${renderServing(screen, terminal.err).join("\n")}\n\n`);
    await whenAborted(end);
    platform.failure.throwIfAborted();
    return 0;
  } catch (error) {
    platform.failure.throwIfAborted();
    if (stop.aborted) return isServing ? 0 : INTERRUPTED;
    throw error;
  } finally {
    if (end.aborted) terminal.err.write("\n  stopping …\n");
    await platform.stop();
    if (stop.aborted) terminal.err.write("  stopped; the queue is kept\n");
  }
}

/** Send a first job through the API and show it. @returns whether it completed */
async function runSample(
  { apiKey, terminal }: Session,
  { url, model }: { readonly url: string; readonly model: string },
  end: AbortSignal,
): Promise<boolean> {
  const { err } = terminal;
  const submit: Submit = {
    endpoint: "/v1/chat/completions",
    request: {
      model,
      messages: [{ role: "user", content: "What is a headrace, and what does it carry?" }],
      max_tokens: 64,
    },
  };
  const signal = AbortSignal.any([end, AbortSignal.timeout(SAMPLE_MS)]);
  try {
    const headrace = new Headrace({ url, apiKey });
    const job = await headrace.submit(submit, { signal });
    err.write(`\n  ${paint(err, "dim", `a first job, through the API, on ${model}:`)}\n\n`);
    const ended = await new JobWatch(headrace, job.id, terminal).run(signal);
    err.write(`\n${renderSummary(ended, err).join("\n")}\n`);
    return ended.status === "completed";
  } catch (error) {
    end.throwIfAborted();
    const why = error instanceof HeadraceError ? describeApiError(error) : String(error);
    err.write(`${paint(err, "red", "✗")} the first job did not complete: ${why}\n`);
    return false;
  }
}

function reportTo({ err }: Terminal, isVerbose: boolean): PlatformReport {
  const startedAtMs = performance.now();
  return {
    onReady: (name, where) => {
      const seconds = (performance.now() - startedAtMs) / 1_000;
      const after = paint(err, "dim", `after ${formatDuration(seconds)}`);
      err.write(`  ${paint(err, "green", "✓")} ${name.padEnd(NAME_WIDTH)} ${where} ${after}\n`);
    },
    onTrouble: (text) => err.write(`${paint(err, "yellow", "!")} ${text}\n`),
    onLine: isVerbose
      ? (name, line) => err.write(`${paint(err, "dim", `${name.padEnd(NAME_WIDTH)}│`)} ${line}\n`)
      : null,
  };
}
