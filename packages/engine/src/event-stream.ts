import { isUtf8 } from "node:buffer";

import { EngineError } from "./error.ts";

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const DATA = Buffer.from("data");
const BYTE_ORDER_MARK = Buffer.from("\uFEFF");
/** Larger than this the buffer of a split line is given back after use, in bytes. */
const KEPT_BYTES = 16_384;

/**
 * Split server-sent events, fed in pieces cut at any byte, into the data of each event.
 *
 * Lines end in LF or CRLF (no engine sends the lone CR that the standard also allows). Only `data`
 * is read: engines put nothing in `event`, `id` and `retry`, and comments are keep-alives. Events
 * without data are skipped. Whole lines are decoded straight from the piece they arrived in; only
 * a line that straddles two pieces is copied, once, so cost is linear however finely it is cut.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export class EventStream {
  readonly #maxEventBytes: number;
  readonly #onData: (data: string) => void;
  /** The start of a line whose end has not come: the first `#heldBytes` of this buffer. */
  #held = Buffer.alloc(0);
  #heldBytes = 0;
  #data = "";
  #dataBytes = 0;
  #isAtStart = true;

  /** @param maxEventBytes most bytes of one event, and so the memory a parser takes */
  constructor(maxEventBytes: number, onData: (data: string) => void) {
    this.#maxEventBytes = maxEventBytes;
    this.#onData = onData;
  }

  /**
   * Take the next bytes and report the events they complete, in order.
   *
   * @throws EngineError engine_failed on an event over the bound, or data that is not UTF-8
   */
  push(bytes: Buffer): void {
    let start = this.#heldBytes === 0 ? 0 : this.#endHeldLine(bytes);
    if (start === -1) return;
    for (;;) {
      const end = bytes.indexOf(LF, start);
      if (end === -1) break;
      this.#readLine(bytes, start, end);
      start = end + 1;
    }
    if (start < bytes.length) this.#hold(bytes, start, bytes.length);
  }

  /**
   * Take what came last, for a stream that ended without its final newline.
   *
   * @returns the data of the unfinished event, "" when there is none
   */
  end(): string {
    const length = this.#heldBytes;
    this.#heldBytes = 0;
    if (length > 0) this.#readLine(this.#held, 0, length);
    return this.#data;
  }

  /** @returns where the next line starts, or -1 when the held one goes on */
  #endHeldLine(bytes: Buffer): number {
    const end = bytes.indexOf(LF);
    this.#hold(bytes, 0, end === -1 ? bytes.length : end);
    if (end === -1) return -1;
    const length = this.#heldBytes;
    this.#heldBytes = 0;
    this.#readLine(this.#held, 0, length);
    if (this.#held.length > KEPT_BYTES) this.#held = Buffer.alloc(0);
    return end + 1;
  }

  #hold(bytes: Buffer, start: number, end: number): void {
    const length = this.#heldBytes + end - start;
    this.#bound(this.#dataBytes + length);
    if (length > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(512, length, this.#held.length * 2));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldBytes, start, end);
    this.#heldBytes = length;
  }

  #readLine(bytes: Buffer, lineStart: number, lineEnd: number): void {
    let start = lineStart;
    const end = lineEnd > start && bytes[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    if (this.#isAtStart) {
      this.#isAtStart = false;
      if (startsWith(bytes.subarray(start, end), BYTE_ORDER_MARK)) start += BYTE_ORDER_MARK.length;
    }
    if (start === end) this.#endEvent();
    else if (isDataLine(bytes, start, end)) this.#addData(bytes, start + DATA.length + 1, end);
  }

  #addData(bytes: Buffer, valueStart: number, end: number): void {
    const start = bytes[valueStart] === SPACE && valueStart < end ? valueStart + 1 : valueStart;
    if (start >= end) return;
    this.#dataBytes += end - start;
    this.#bound(this.#dataBytes);
    const text = bytes.toString("utf8", start, end);
    if (text.includes("\uFFFD") && !isUtf8(bytes.subarray(start, end))) {
      throw new EngineError("engine_failed", "the engine sent an event that is not UTF-8");
    }
    this.#data = this.#data === "" ? text : `${this.#data}\n${text}`;
  }

  #endEvent(): void {
    if (this.#data === "") return;
    const data = this.#data;
    this.#data = "";
    this.#dataBytes = 0;
    this.#onData(data);
  }

  #bound(eventBytes: number): void {
    if (eventBytes <= this.#maxEventBytes) return;
    throw new EngineError(
      "engine_failed",
      `the engine sent an event of over ${this.#maxEventBytes} bytes`,
    );
  }
}

function isDataLine(bytes: Buffer, start: number, end: number): boolean {
  return (
    bytes[start] === DATA[0] &&
    bytes[start + 4] === COLON &&
    start + 4 < end &&
    bytes.compare(DATA, 0, DATA.length, start, start + DATA.length) === 0
  );
}

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  return bytes.subarray(0, prefix.length).equals(prefix);
}
