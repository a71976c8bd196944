import { isRecord, LARGEST_REQUEST_BYTES, type Row } from "./row.ts";

const NEWLINE = 0x0a;
const BLANK = /^\s*$/;

/** A line's bytes; null for one that is too long to be held. */
interface Line {
  readonly at: number;
  readonly bytes: Uint8Array | null;
}

/**
 * Read JSON Lines: an object a line, UTF-8. Blank lines are passed over; a line that is none of it is
 * told as a fault. Holds one line at a time.
 *
 * @yields a row for each line
 */
export async function* readJsonLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Row> {
  // Takes a byte order mark away, where there is one.
  const utf8 = new TextDecoder("utf-8", { fatal: true });
  for await (const { at, bytes } of splitLines(chunks, LARGEST_REQUEST_BYTES)) {
    if (bytes === null) {
      yield { at, fault: `the line is over ${LARGEST_REQUEST_BYTES} bytes` };
      continue;
    }
    const text = decode(utf8, bytes);
    if (text === null) yield { at, fault: "the line is not UTF-8" };
    else if (!BLANK.test(text)) yield parse(at, text);
  }
}

/**
 * Split bytes into lines, without their ends.
 *
 * @param largestBytes of a line that is held
 * @yields the lines, blank ones too
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  largestBytes: number,
): AsyncGenerator<Line> {
  let at = 1;
  let held = new HeldLine(largestBytes);
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      held.add(chunk.subarray(start, end));
      yield { at, bytes: held.take() };
      held = new HeldLine(largestBytes);
      at += 1;
      start = end + 1;
    }
    held.add(chunk.subarray(start));
  }
  if (!held.isEmpty) yield { at, bytes: held.take() };
}

/** The pieces of a line whose end has not come yet: of one that is too long, none. */
class HeldLine {
  readonly #largestBytes: number;
  #pieces: Uint8Array[] = [];
  #sizeBytes = 0;

  constructor(largestBytes: number) {
    this.#largestBytes = largestBytes;
  }

  get isEmpty(): boolean {
    return this.#sizeBytes === 0;
  }

  add(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#sizeBytes += piece.length;
    if (this.#sizeBytes > this.#largestBytes) this.#pieces = [];
    else this.#pieces.push(piece);
  }

  take(): Uint8Array | null {
    if (this.#sizeBytes > this.#largestBytes) return null;
    const [only] = this.#pieces;
    return only !== undefined && this.#pieces.length === 1 ? only : Buffer.concat(this.#pieces);
  }
}

function decode(utf8: TextDecoder, bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

function parse(at: number, text: string): Row {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return { at, fields: value, text };
    return { at, fault: 'expected an object, as in {"prompt": "…"}' };
  } catch (error) {
    return { at, fault: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
