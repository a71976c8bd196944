import { isUtf8 } from "node:buffer";
import { Readable } from "node:stream";

import { CsvError, parse } from "csv-parse";
import { z } from "zod";

import { LARGEST_REQUEST_BYTES, UnreadableInput, type Row } from "./row.ts";

const NEWLINE = 0x0a;
/** Of a CSV's own complaint, what is worth showing: it may quote the row. */
const SHOWN_CHARACTERS = 300;

const parsedSchema = z.object({
  record: z.record(z.string(), z.string()),
  info: z.object({ records: z.int(), lines: z.int() }),
});

/** How a CSV is read. */
interface CsvReading {
  readonly delimiter: string;
  /** Says which of its columns are wanted; others are passed over. */
  readonly choose: (columns: readonly string[]) => readonly string[];
}

/**
 * Read a CSV, UTF-8, whose first line names its columns. Rows are counted from the first below it.
 * Holds one row at a time.
 *
 * @yields the rows
 * @throws UnreadableInput for what is no CSV; what comes after cannot be trusted
 */
export async function* readCsv(
  chunks: AsyncIterable<Uint8Array>,
  { delimiter, choose }: CsvReading,
): AsyncGenerator<Row> {
  const parser = parse({
    bom: true,
    columns: (header: string[]) => {
      const names = judgeHeader(header);
      const wanted = choose(names);
      return names.map((name) => wanted.includes(name) && name);
    },
    delimiter,
    info: true,
    max_record_size: LARGEST_REQUEST_BYTES,
    skip_empty_lines: true,
  });
  const bytes = Readable.from(assertUtf8(chunks), { objectMode: false });
  bytes.once("error", (error) => parser.destroy(error));
  bytes.pipe(parser);
  try {
    for await (const parsed of parser) {
      const { record, info } = parsedSchema.parse(parsed);
      yield { at: info.records, fields: record, text: null };
    }
  } catch (error) {
    throw error instanceof CsvError ? toUnreadable(error) : error;
  } finally {
    bytes.destroy();
  }
}

function judgeHeader(header: readonly string[]): string[] {
  const names = header.map((name) => name.trim());
  const repeated = names.find((name, at) => names.indexOf(name) !== at);
  if (repeated === undefined) return names;
  throw new UnreadableInput(null, `two columns are named ${JSON.stringify(repeated)}`);
}

function toUnreadable(error: CsvError): UnreadableInput {
  const line = z.object({ lines: z.int() }).safeParse(error).data?.lines;
  const where = line === undefined ? "" : ` (line ${line} of the file)`;
  const message = error.message.slice(0, SHOWN_CHARACTERS);
  return new UnreadableInput(null, `not a CSV that can be read${where}: ${message}`);
}

/**
 * Pass bytes on as long as they are UTF-8: a parser would put marks in the place of what is not.
 *
 * @yields the same chunks
 */
async function* assertUtf8(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let line = 1;
  for await (const chunk of chunks) {
    try {
      decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw notUtf8(line + badLineOf(chunk), cause);
    }
    line += countLines(chunk);
    yield chunk;
  }
  try {
    decoder.decode();
  } catch (cause) {
    throw notUtf8(line, cause);
  }
}

function notUtf8(line: number, cause: unknown): UnreadableInput {
  return new UnreadableInput(null, `line ${line} of the file is not UTF-8`, { cause });
}

/** Which line of a chunk is the first that is not UTF-8, from 0; its first may begin in the middle. */
function badLineOf(chunk: Uint8Array): number {
  let line = 0;
  let start = 0;
  for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
    if (line > 0 && !isUtf8(chunk.subarray(start, end))) return line;
    line += 1;
    start = end + 1;
  }
  return line > 0 && !isUtf8(chunk.subarray(start)) ? line : 0;
}

function countLines(chunk: Uint8Array): number {
  let count = 0;
  for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
