/** An event as a browser's `EventSource` hands it out. */
export interface Message {
  readonly id: string;
  readonly type: string;
  readonly data: string;
}

/**
 * Reads events as a browser does: when the server ends the stream, it waits for as long as `retry`
 * said and connects again with the last id; anything but 200 is final.
 *
 * @yields events until `isLast`
 * @throws Error where a browser would give up, or the stream was cut instead of ended
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export async function* readEventSource(
  url: string,
  headers: Readonly<Record<string, string>>,
  isLast: (message: Message) => boolean,
): AsyncGenerator<Message & { readonly connection: number }, void> {
  let lastId = "";
  let retryMs = 3_000;
  for (let connection = 1; ; connection += 1) {
    const again = lastId === "" ? {} : { "last-event-id": lastId };
    const response = await fetch(url, { headers: { ...headers, ...again } });
    if (response.status !== 200) throw new Error(`a browser gives up at ${response.status}`);
    let rest = "";
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const blocks = (rest + text).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const fields = fieldsOf(block);
        retryMs = Number(fields.get("retry") ?? retryMs);
        lastId = fields.get("id") ?? lastId;
        const data = fields.get("data");
        if (data === undefined) continue;
        const message = { id: lastId, type: fields.get("event") ?? "message", data };
        yield { ...message, connection };
        if (isLast(message)) return;
      }
    }
    if (rest !== "") throw new Error(`the stream ended within an event: ${rest.slice(0, 100)}`);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

function fieldsOf(block: string): Map<string, string> {
  const lines = block.split("\n").filter((line) => !line.startsWith(":"));
  return new Map(
    lines.map((line) => {
      const [name = "", ...value] = line.split(": ");
      return [name, value.join(": ")];
    }),
  );
}
