import { createReadStream } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";

/** Lines that follow each other are read at once up to this size, bytes. */
const READ_BYTES = 1_048_576;
const NEWLINE = 0x0a;

/** Where the lines of a file stand in an order that is not the file's: 12 bytes for each. */
export class LineSpans {
  readonly #starts: Float64Array;
  readonly #sizes: Uint32Array;

  /** @param count how many lines the order has; a file may lack some of them */
  constructor(count: number) {
    this.#starts = new Float64Array(count);
    this.#sizes = new Uint32Array(count);
  }

  /** Say where the line is that is `order`th from 0, its end included. */
  set(order: number, start: number, size: number): void {
    this.#starts[order] = start;
    this.#sizes[order] = size;
  }

  /**
   * Read the lines in their order: what stands in the file in that order already is read together.
   *
   * @yields whole lines, one or many at a time
   */
  async *read(path: string): AsyncGenerator<Uint8Array> {
    await using handle = await open(path);
    let start = 0;
    let end = 0;
    for (let order = 0; order < this.#sizes.length; order += 1) {
      const [lineStart = 0, size = 0] = [this.#starts[order], this.#sizes[order]];
      if (size === 0) continue;
      if (lineStart !== end || end - start + size > READ_BYTES) {
        if (end > start) yield await readSpan(handle, start, end);
        start = lineStart;
      }
      end = lineStart + size;
    }
    if (end > start) yield await readSpan(handle, start, end);
  }
}

async function readSpan(handle: FileHandle, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  const { bytesRead } = await handle.read(bytes, { position: start });
  return bytes.subarray(0, bytesRead);
}

/** A line of a file, and where it stands. */
interface PlacedLine {
  readonly start: number;
  /** Without its end. */
  readonly bytes: Uint8Array;
}

/**
 * Read a file line by line, holding one at a time.
 *
 * @yields the lines that are not empty
 */
export async function* readLines(path: string): AsyncGenerator<PlacedLine> {
  let start = 0;
  let held: Uint8Array[] = [];
  for await (const chunk of createReadStream(path)) {
    if (!(chunk instanceof Uint8Array)) continue;
    let from = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      const bytes = join([...held, chunk.subarray(from, end)]);
      if (bytes.length > 0) yield { start, bytes };
      start += bytes.length + 1;
      held = [];
      from = end + 1;
    }
    held.push(chunk.subarray(from));
  }
  const bytes = join(held);
  if (bytes.length > 0) yield { start, bytes };
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces);
}
