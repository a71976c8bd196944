import { open, rename, rm, stat } from "node:fs/promises";

import { HeadraceError, type Headrace } from "@headrace/client";
import { z } from "zod";

import { CommandFailure } from "../failure.ts";
import { toTextLine } from "./answer-text.ts";
import type { CustomIds } from "../batch-input/custom-ids.ts";
import { LineSpans, readLines } from "./line-spans.ts";
import { LineWriter } from "./line-writer.ts";
import type { OutputFiles } from "./output-files.ts";
import { retrying } from "./retrying.ts";

const namedLineSchema = z.object({ custom_id: z.string() });

/** What the answers of an ended batch are written from. */
export interface AnswerSource {
  readonly headrace: Headrace;
  readonly files: OutputFiles;
  /** In the order in which lines are written. */
  readonly customIds: CustomIds;
  readonly signal: AbortSignal;
}

/** A file to write. */
export interface AnswerTarget {
  readonly path: string;
  /** The file of the batch's that it is written from; null for one of no lines. */
  readonly fileId: string | null;
  /** Whether lines become `{custom_id, text}`; else they stay as they are. */
  readonly asText: boolean;
}

/**
 * Download what a batch has written, and put its lines into the input's order. A download that is cut
 * off is gone on with, also by another process. The file appears at its path when all of it is there.
 */
export async function writeAnswers(source: AnswerSource, target: AnswerTarget): Promise<void> {
  const draft = source.files.draftOf(target.path);
  const writer = await LineWriter.open(draft);
  try {
    if (target.fileId !== null) await copy(source, writer, { ...target, fileId: target.fileId });
    await writer.close();
  } catch (error) {
    await writer.abandon();
    await rm(draft, { force: true });
    throw error;
  }
  await rename(draft, target.path);
  if (target.fileId !== null) await rm(source.files.partOf(target.fileId), { force: true });
}

async function copy(
  source: AnswerSource,
  writer: LineWriter,
  { fileId, asText }: AnswerTarget & { readonly fileId: string },
): Promise<void> {
  const part = source.files.partOf(fileId);
  await download(source, fileId, part);
  const spans = await order(part, source);
  for await (const lines of spans.read(part)) {
    source.signal.throwIfAborted();
    await writer.write(asText ? toTextLines(lines) : lines);
  }
}

/** Have a file of the server's here, going on with what an earlier try left. */
async function download(
  { headrace, signal }: AnswerSource,
  fileId: string,
  part: string,
): Promise<void> {
  const { bytes } = await headrace.files.get(fileId, { signal });
  await retrying(signal, async () => {
    const from = await sizeOf(part);
    if (from === bytes) return;
    // More than there is: it is not what it is taken for.
    await using handle = await open(part, from > bytes ? "w" : "a");
    const options = { from: from > bytes ? 0 : from, signal };
    for await (const chunk of headrace.files.content(fileId, options)) {
      await handle.appendFile(chunk);
    }
    await handle.sync();
    const size = await sizeOf(part);
    if (size !== bytes) throw cutOff(fileId, size, bytes);
  });
}

function cutOff(fileId: string, size: number, bytes: number): HeadraceError {
  return new HeadraceError(`${fileId} broke off at ${size} of ${bytes} bytes`, {
    status: null,
    code: "connection_lost",
    retryable: true,
  });
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return 0;
    throw error;
  }
}

/** Find out where each request's line stands. */
async function order(part: string, { customIds, signal }: AnswerSource): Promise<LineSpans> {
  const spans = new LineSpans(customIds.count);
  const utf8 = new TextDecoder();
  for await (const { start, bytes } of readLines(part)) {
    signal.throwIfAborted();
    const { custom_id: id } = namedLineSchema.parse(JSON.parse(utf8.decode(bytes)));
    const at = customIds.find(id);
    // The lines are the input's, and every one of the input's is known: else an answer would be lost.
    if (at === null)
      throw new CommandFailure(`${part} answers ${id}, which the input does not ask`);
    spans.set(at, start, bytes.length + 1);
  }
  return spans;
}

function toTextLines(lines: Uint8Array): Uint8Array {
  const texts = new TextDecoder()
    .decode(lines)
    .split("\n")
    .filter((line) => line !== "");
  return new TextEncoder().encode(texts.map((line) => `${toTextLine(line)}\n`).join(""));
}
