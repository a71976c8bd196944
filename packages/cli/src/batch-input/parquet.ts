import { open, type FileHandle } from "node:fs/promises";
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";

import {
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type AsyncBuffer,
  type Compressors,
  type DecodedArray,
  type FileMetaData,
  type ParquetRowRange,
} from "hyparquet";

import { UnreadableInput, type Row } from "./row.ts";

/**
 * The most that a row group's columns may hold, bytes: they are decoded at once. pyarrow writes
 * 1,048,576 rows to a group unless told otherwise, so prompts of 250 bytes still pass.
 */
const LARGEST_GROUP_BYTES = 256 * 1_024 * 1_024;

/** What hyparquet does not decompress by itself, and Node does. */
const COMPRESSORS: Compressors = {
  GZIP: (input, maxOutputLength) => gunzipSync(input, { maxOutputLength }),
  BROTLI: (input, maxOutputLength) => brotliDecompressSync(input, { maxOutputLength }),
  ZSTD: (input, maxOutputLength) => zstdDecompressSync(input, { maxOutputLength }),
};

/**
 * Read the rows of a Parquet file, one group of them at a time.
 *
 * @param choose says which of its columns are wanted; others are not read
 * @yields the rows
 * @throws UnreadableInput for what is no Parquet, and for groups that memory must not be filled with
 */
export async function* readParquet(
  path: string,
  choose: (columns: readonly string[]) => readonly string[],
): AsyncGenerator<Row> {
  await using handle = await open(path);
  const file = await toAsyncBuffer(handle);
  const metadata = await explain(() => parquetMetadataAsync(file));
  const known = parquetSchema(metadata).children.map(({ element }) => element.name);
  const columns = [...choose(known)];
  assertGroupsFit(metadata, columns);
  const options = { file, metadata, columns, compressors: COMPRESSORS };
  const { ranges } = await explain(() => parquetScan(options));
  for (const range of ranges) {
    // A scan of its own for each group: one keeps what it has read.
    const scan = await explain(() => parquetScan(options));
    const read = (column: string): Promise<DecodedArray> => scan.readColumn({ column, ...range });
    const values = await explain(() => Promise.all(columns.map(read)));
    yield* toRows(columns, values, range);
  }
}

function* toRows(
  columns: readonly string[],
  values: readonly DecodedArray[],
  { rowStart, rowEnd }: ParquetRowRange,
): Generator<Row> {
  for (let at = 0; at < rowEnd - rowStart; at += 1) {
    const fields = columns.map((column, index): [string, unknown] => [column, values[index]?.[at]]);
    yield { at: rowStart + at + 1, fields: Object.fromEntries(fields), text: null };
  }
}

async function toAsyncBuffer(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    slice: async (start, end = size) => {
      const buffer = new ArrayBuffer(Math.min(end, size) - start);
      const { bytesRead } = await handle.read(new Uint8Array(buffer), { position: start });
      if (bytesRead < buffer.byteLength) throw new RangeError("the file ends too early");
      return buffer;
    },
  };
}

function assertGroupsFit({ row_groups: groups }: FileMetaData, columns: readonly string[]): void {
  const sizes = groups.map((group) =>
    group.columns
      .filter(({ meta_data: data }) => columns.includes(data?.path_in_schema[0] ?? ""))
      .reduce((sum, { meta_data: data }) => sum + Number(data?.total_uncompressed_size ?? 0), 0),
  );
  const largest = Math.max(0, ...sizes);
  if (largest <= LARGEST_GROUP_BYTES) return;
  throw new UnreadableInput(
    null,
    `a group of its rows holds ${largest} bytes, and ${LARGEST_GROUP_BYTES} are held in memory at most; write it with smaller groups, as pyarrow does with row_group_size=50000`,
  );
}

/** Tell what the library throws of a file as a fault of the file. */
async function explain<Value>(read: () => Promise<Value>): Promise<Value> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof UnreadableInput) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new UnreadableInput(null, `not a Parquet file that can be read: ${message}`, { cause });
  }
}
