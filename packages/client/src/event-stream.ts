import { HeadraceError } from "./error.ts";

/** One server-sent event. */
export interface ServerEvent {
  /** "" when the event carries none. */
  readonly id: string;
  readonly data: string;
}

/**
 * Splits server-sent events, fed in pieces cut at any byte.
 *
 * Only whole events are given, those that an empty line ended: what a cut connection leaves is
 * dropped and comes again on the next one. Lines end in LF, CRLF or CR; comments, `event` and
 * `retry` are skipped (a Headrace event names its type in its data). Unlike in a browser an id
 * belongs to its own event alone.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */
export class EventStream {
  readonly #maxEventLength: number;
  readonly #decoder = new TextDecoder();
  /** The line whose end has not come, in the pieces it came in. */
  #line: string[] = [];
  #lineLength = 0;
  #endedInReturn = false;
  #id = "";
  #data: string[] = [];
  #dataLength = 0;

  /** @param maxEventLength most characters of one event, and so the memory a parser takes */
  constructor(maxEventLength: number) {
    this.#maxEventLength = maxEventLength;
  }

  /** Take the next bytes. @returns the events they complete @throws HeadraceError over the bound */
  push(bytes: Uint8Array): ServerEvent[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    const events: ServerEvent[] = [];
    // A CRLF may be cut in two: its LF ends no second line.
    let start = this.#endedInReturn && text.startsWith("\n") ? 1 : 0;
    if (text.length > 0) this.#endedInReturn = false;
    for (;;) {
      const end = findLineEnd(text, start);
      if (end === -1) break;
      const event = this.#endLine(text.slice(start, end));
      if (event !== null) events.push(event);
      start = end + 1;
      if (text[end] !== "\r") continue;
      if (text[start] === "\n") start += 1;
      else this.#endedInReturn = start === text.length;
    }
    this.#hold(text.slice(start));
    return events;
  }

  #hold(text: string): void {
    if (text === "") return;
    this.#line.push(text);
    this.#lineLength += text.length;
    this.#bound();
  }

  #endLine(rest: string): ServerEvent | null {
    const line = this.#line.length === 0 ? rest : this.#line.join("") + rest;
    this.#line = [];
    this.#lineLength = 0;
    if (line === "") return this.#endEvent();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "id") this.#id = value;
    if (field === "data") {
      this.#data.push(value);
      this.#dataLength += value.length;
      this.#bound();
    }
    return null;
  }

  #endEvent(): ServerEvent | null {
    const event = { id: this.#id, data: this.#data.join("\n") };
    const hasData = this.#data.length > 0;
    this.#id = "";
    this.#data = [];
    this.#dataLength = 0;
    return hasData ? event : null;
  }

  #bound(): void {
    if (this.#lineLength + this.#dataLength <= this.#maxEventLength) return;
    throw new HeadraceError(`the server sent an event of over ${this.#maxEventLength} characters`, {
      status: null,
      code: "response_invalid",
      retryable: false,
    });
  }
}

function findLineEnd(text: string, start: number): number {
  const feed = text.indexOf("\n", start);
  const carriage = text.indexOf("\r", start);
  if (feed === -1 || carriage === -1) return Math.max(feed, carriage);
  return Math.min(feed, carriage);
}
