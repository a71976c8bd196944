import { statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

import { isTerminalBatch, type Batch } from "@headrace/contract";

import { UsageError } from "../usage-error.ts";
import { CommandFailure } from "../failure.ts";
import type { JobContext } from "../job-commands.ts";
import { renderTable, writeInstant } from "../table.ts";
import { toTextLine } from "./answer-text.ts";
import type { BatchCommand, BatchOptions } from "./batch-flags.ts";
import { renderBatch } from "./batch-view.ts";
import { splitLines } from "../batch-input/json-lines.ts";
import { LineWriter } from "./line-writer.ts";
import { OutputFiles } from "./output-files.ts";
import { describeCounts } from "./progress-text.ts";
import { BatchRun } from "./run-batch.ts";
import { RunState } from "./run-state.ts";

/** Do what a command on batches asks for. @returns the exit code */
export async function runBatchCommand(command: BatchCommand, context: JobContext): Promise<number> {
  switch (command.name) {
    case "batch run":
      return runBatch(command.options, context);
    case "batch status":
      return showBatch(command.options, context);
    case "batch results":
      return showResults(command.options, context);
    case "batch cancel":
      return cancelBatch(command.options, context);
    case "batch list":
      return listBatches(command.options, context);
  }
}

async function runBatch(options: BatchOptions<"batch run">, context: JobContext): Promise<number> {
  const { output } = options;
  if (output === undefined) {
    throw new UsageError("-o: required, the file that the answers go to", "batch run");
  }
  assertFile(output, "batch run");
  const files = new OutputFiles(output, process.pid);
  const state = new RunState(files.state);
  return new BatchRun({ ...context, options, files, state }).run();
}

async function showBatch(
  { positionals: [id], json }: BatchOptions<"batch status">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const batch = await headrace.batches.get(id, { signal });
  terminal.out.write(json ? toJson(batch) : `${renderBatch(batch, terminal.out).join("\n")}\n`);
  return 0;
}

async function showResults(
  { positionals: [id], output, text }: BatchOptions<"batch results">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const results = headrace.batches.results(id, { signal });
  const pieces = text ? toTextLines(results) : results;
  if (output === undefined) {
    const utf8 = new TextDecoder();
    for await (const piece of pieces) {
      terminal.out.write(utf8.decode(piece, { stream: true }));
      await terminal.out.drained();
    }
    return 0;
  }
  assertFile(output, "batch results");
  const files = new OutputFiles(output, process.pid);
  const draft = files.draftOf(output);
  const writer = await LineWriter.open(draft);
  try {
    for await (const piece of pieces) await writer.write(piece);
    await writer.close();
    await rename(draft, output);
  } finally {
    await writer.abandon();
    await rm(draft, { force: true });
  }
  return 0;
}

async function* toTextLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const utf8 = new TextDecoder();
  for await (const { bytes } of splitLines(chunks, Number.POSITIVE_INFINITY)) {
    if (bytes === null || bytes.length === 0) continue;
    yield Buffer.from(`${toTextLine(utf8.decode(bytes))}\n`);
  }
}

async function cancelBatch(
  { positionals: [id], json }: BatchOptions<"batch cancel">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const batch = await headrace.batches.cancel(id, { signal });
  terminal.out.write(json ? toJson(batch) : `${describeCancelled(batch)}\n`);
  return 0;
}

function describeCancelled({ id, status }: Batch): string {
  if (status === "cancelled") return `${id} is cancelled; \`batch results\` has what was done`;
  return isTerminalBatch(status) ? `${id} had ended before: ${status}` : `${id} is being cancelled`;
}

async function listBatches(
  { limit, json }: BatchOptions<"batch list">,
  { headrace, terminal, signal }: JobContext,
): Promise<number> {
  const list = await headrace.batches.list({ limit }, { signal });
  terminal.out.write(json ? toJson(list) : `${renderList(list.data, terminal).join("\n")}\n`);
  return 0;
}

function renderList(batches: readonly Batch[], { out }: JobContext["terminal"]): string[] {
  if (batches.length === 0) return ["  There are no batches."];
  const rows = batches.map((batch) => [
    batch.id,
    writeInstant(batch.created_at),
    batch.status,
    describeCounts(batch),
  ]);
  return renderTable(["batch", "made", "status", "requests"], rows, out);
}

/** @throws UsageError, CommandFailure for what no file can be made at */
function assertFile(path: string, command: string): void {
  if (path === "-") {
    throw new UsageError("-o: expected a file: it appears when all of it is there", command);
  }
  if (statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory() === true) return;
  throw new CommandFailure(`there is no folder ${dirname(path)} to write to`, { exitCode: 2 });
}

function toJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
