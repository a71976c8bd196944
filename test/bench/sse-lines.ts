const FIELD = "data: ";

/**
 * Call `onData` with the data of each event of a stream, as its pieces come.
 *
 * Enough of SSE for streams in which each event's data is one line: the engine's and ours.
 */
export async function readEvents(
  pieces: AsyncIterable<string>,
  onData: (data: string) => void,
): Promise<void> {
  let rest = "";
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith(FIELD)) onData(line.slice(FIELD.length));
  }
}
