import { createReadStream } from "node:fs";
import { extname } from "node:path";
import { addAbortSignal } from "node:stream";

import { quote } from "../shell.ts";
import { readCsv } from "./csv.ts";
import { readJsonLines } from "./json-lines.ts";
import { readParquet } from "./parquet.ts";
import { UnreadableInput, type Row } from "./row.ts";

/** How inputs may be written. */
export const INPUT_FORMATS = ["jsonl", "csv", "tsv", "parquet"] as const;
export type InputFormat = (typeof INPUT_FORMATS)[number];

/** What is read. */
export interface InputSource {
  /** A path; `-` is standard input. */
  readonly path: string;
  /** What its name says unless given. */
  readonly format: InputFormat | undefined;
  /** Which of a table's columns are wanted; where they can be read apart, others are not. */
  readonly choose: (columns: readonly string[]) => readonly string[];
  /** Ends the reading, also while nothing comes. */
  readonly signal: AbortSignal;
}

/** What an input's rows are called where one is at fault. */
export type RowWord = "line" | "row";

/**
 * Read an input, whatever it is written in, holding a small part of it at a time.
 *
 * @throws UnreadableInput, at once or while it is read; the system's error for a file that cannot be
 *   opened
 */
export function readRows(source: InputSource): {
  readonly word: RowWord;
  readonly rows: AsyncGenerator<Row>;
} {
  const { path } = source;
  const format = source.format ?? formatOf(path);
  if (format === "parquet") return { word: "row", rows: readTableFile(source) };
  const chunks = addAbortSignal(
    source.signal,
    path === "-" ? process.stdin : createReadStream(path),
  );
  const judged = judgeStart(chunks, path);
  if (format === "jsonl") return { word: "line", rows: readJsonLines(judged) };
  return {
    word: "row",
    rows: readCsv(judged, { delimiter: format === "tsv" ? "\t" : ",", choose: source.choose }),
  };
}

function readTableFile({ path, choose }: InputSource): AsyncGenerator<Row> {
  if (path !== "-") return readParquet(path, choose);
  // Its list of what is where stands at its end.
  throw new UnreadableInput(null, "Parquet cannot be read from standard input; name a file");
}

const FORMATS: Readonly<Record<string, InputFormat>> = {
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  ".json": "jsonl",
  ".csv": "csv",
  ".tsv": "tsv",
  ".parquet": "parquet",
  ".pq": "parquet",
};

function formatOf(path: string): InputFormat {
  const format = path === "-" ? "jsonl" : FORMATS[extname(path).toLowerCase()];
  if (format !== undefined) return format;
  const name = extname(path).toLowerCase();
  if (COMPRESSED.has(name)) throw compressed(path);
  throw new UnreadableInput(
    null,
    `its name does not tell what it is; say so with --format ${INPUT_FORMATS.join("|")}`,
  );
}

const COMPRESSED: ReadonlySet<string> = new Set([".gz", ".zst", ".bz2", ".xz", ".zip"]);

function compressed(path: string): UnreadableInput {
  const name = path === "-" ? "file" : quote(path);
  return new UnreadableInput(
    null,
    `it is compressed; unpack it on its way in, as in: gunzip -c ${name} | headrace batch run - …`,
  );
}

/** What is no text, by its first bytes. */
const STARTS: readonly { readonly bytes: readonly number[]; readonly fault: string | null }[] = [
  { bytes: [0x1f, 0x8b], fault: null },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], fault: null },
  { bytes: [0x50, 0x4b, 0x03, 0x04], fault: "it is a zip archive, or a workbook; save it as CSV" },
  { bytes: [0x50, 0x41, 0x52, 0x31], fault: "it is Parquet; say so with --format parquet" },
  { bytes: [0xff, 0xfe], fault: "it is UTF-16; save it as UTF-8" },
  { bytes: [0xfe, 0xff], fault: "it is UTF-16; save it as UTF-8" },
];
const LONGEST_START = 4;

/**
 * Pass bytes on, unless their start tells that they are no text.
 *
 * @yields the same bytes
 */
async function* judgeStart(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array> {
  let start: Uint8Array = new Uint8Array();
  let isJudged = false;
  for await (const chunk of chunks) {
    start = isJudged ? chunk : Buffer.concat([start, chunk]);
    if (!isJudged && start.length < LONGEST_START) continue;
    if (!isJudged) assertText(start, path);
    isJudged = true;
    yield start;
  }
  if (isJudged || start.length === 0) return;
  assertText(start, path);
  yield start;
}

function assertText(start: Uint8Array, path: string): void {
  const found = STARTS.find(({ bytes }) => bytes.every((byte, at) => start[at] === byte));
  if (found === undefined) return;
  throw found.fault === null ? compressed(path) : new UnreadableInput(null, found.fault);
}
