/** One server-sent event, or a comment. */
export interface SseEvent {
  readonly id: string | null;
  readonly event: string | null;
  /** The data as text; of a comment the comment. */
  readonly data: string;
  readonly isComment: boolean;
}

/** Reads a stream of events one by one. */
export class SseReader {
  readonly response: Response;
  readonly #controller: AbortController;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | null;
  readonly #decoder = new TextDecoder();
  #buffer = "";

  constructor(response: Response, controller: AbortController) {
    this.response = response;
    this.#controller = controller;
    this.#reader = response.body?.getReader() ?? null;
  }

  /** The next event that is no comment; null at the end. */
  async next(): Promise<SseEvent | null> {
    let event = await this.nextOfAny();
    while (event?.isComment === true) event = await this.nextOfAny();
    return event;
  }

  /** The next event or comment; null at the end. */
  async nextOfAny(): Promise<SseEvent | null> {
    let end = this.#buffer.indexOf("\n\n");
    while (end === -1) {
      const { done, value } = (await this.#reader?.read()) ?? { done: true, value: undefined };
      if (done) return null;
      this.#buffer += this.#decoder.decode(value, { stream: true });
      end = this.#buffer.indexOf("\n\n");
    }
    const block = this.#buffer.slice(0, end);
    this.#buffer = this.#buffer.slice(end + 2);
    return parseBlock(block);
  }

  /** All events that are left. */
  async rest(): Promise<SseEvent[]> {
    const events: SseEvent[] = [];
    for (let event = await this.next(); event !== null; event = await this.next()) {
      events.push(event);
    }
    return events;
  }

  /** Leave. */
  hangUp(): void {
    this.#controller.abort();
  }
}

function parseBlock(block: string): SseEvent {
  let id: string | null = null;
  let event: string | null = null;
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith(":")) return { id, event, data: line.slice(1).trim(), isComment: true };
    if (line.startsWith("id: ")) id = line.slice(4);
    else if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  return { id, event, data, isComment: false };
}
