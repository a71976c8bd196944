const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** U+FEFF in UTF-8, which some programs begin a file with. */
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** The longest line: as much as the body of any call may have by default. */
export const LONGEST_LINE_BYTES = 8 * 1_024 * 1_024;

/** A line of a file, without its end. Blank ones are left out. */
export interface ScannedLine {
  /** From 1, blank lines counted. */
  readonly number: number;
  /** Where in the file it begins. */
  readonly offset: number;
  /** Valid until the next chunk is taken; null for a line that is over 8 MiB. */
  readonly bytes: Buffer | null;
}

/** Cuts a file that comes in chunks into lines. What it holds is bounded, however long a line is. */
export class LineScanner {
  #pieces: Buffer[] = [];
  /** Of the line that has not ended, what is held and what was dropped. */
  #sizeBytes = 0;
  #offset = 0;
  #number = 0;

  /** @yields the lines that end in a chunk */
  *take(chunk: Buffer): Generator<ScannedLine, void> {
    let start = 0;
    while (true) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end === -1) break;
      this.#hold(chunk.subarray(start, end));
      yield* this.#finish(1);
      start = end + 1;
    }
    // The chunk's memory may be used for the next one.
    if (start < chunk.length) this.#hold(Buffer.from(chunk.subarray(start)));
  }

  /** @yields the last line, when the file does not end with a line's end */
  *end(): Generator<ScannedLine, void> {
    if (this.#sizeBytes > 0) yield* this.#finish(0);
  }

  #hold(piece: Buffer): void {
    this.#sizeBytes += piece.length;
    if (this.#sizeBytes > LONGEST_LINE_BYTES) this.#pieces = [];
    else this.#pieces.push(piece);
  }

  *#finish(terminatorBytes: number): Generator<ScannedLine, void> {
    this.#number += 1;
    const offset = this.#offset;
    const isTooLong = this.#sizeBytes > LONGEST_LINE_BYTES;
    const [only] = this.#pieces;
    const whole = this.#pieces.length === 1 && only ? only : Buffer.concat(this.#pieces);
    this.#offset += this.#sizeBytes + terminatorBytes;
    this.#pieces = [];
    this.#sizeBytes = 0;
    if (isTooLong) {
      yield { number: this.#number, offset, bytes: null };
      return;
    }
    const skippedBytes = offset === 0 && startsWithMark(whole) ? BYTE_ORDER_MARK.length : 0;
    const bytes = whole.subarray(skippedBytes, endOfText(whole));
    if (!isBlank(bytes)) yield { number: this.#number, offset: offset + skippedBytes, bytes };
  }
}

function startsWithMark(line: Buffer): boolean {
  return line.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
}

function endOfText(line: Buffer): number {
  return line.at(-1) === CARRIAGE_RETURN ? line.length - 1 : line.length;
}

const SPACE = 0x20;
const TAB = 0x09;

function isBlank(line: Buffer): boolean {
  return line.every((byte) => byte === SPACE || byte === TAB || byte === CARRIAGE_RETURN);
}
