/** One event as it came over the wire. */
export interface WireEvent {
  /** Empty for an event that has none. */
  readonly id: string;
  readonly data: string;
}

/**
 * Split a body of server-sent events into them, as it comes.
 *
 * Enough of SSE for a server that writes each event's data on one line and ends lines in LF. An
 * event that is cut off is not given.
 *
 * @yields each event; `null` for a comment, which says that the server lives
 */
export async function* readEventLines(
  pieces: AsyncIterable<string>,
): AsyncGenerator<WireEvent | null, void, undefined> {
  let rest = "";
  let id = "";
  let data = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("data: ")) data = line.slice(6);
      else if (line.startsWith(":")) yield null;
      else if (line === "" && data !== "") {
        yield { id, data };
        id = "";
        data = "";
      }
    }
  }
}
