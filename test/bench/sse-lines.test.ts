import { describe, expect, test } from "vitest";

import { readEvents } from "./sse-lines.ts";

const STREAM = ': heartbeat\n\nid: 1-1\nevent: output.delta\ndata: {"a":1}\n\ndata: [DONE]\n\n';

async function* inPieces(text: string, length: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += length) yield text.slice(at, at + length);
}

async function read(pieces: AsyncIterable<string>): Promise<string[]> {
  const found: string[] = [];
  await readEvents(pieces, (data) => found.push(data));
  return found;
}

describe("a stream's events", () => {
  test.each([1, 2, 7, 1_000])("are the same in pieces of %i characters", async (length) => {
    expect(await read(inPieces(STREAM, length))).toEqual(['{"a":1}', "[DONE]"]);
  });

  test("do not include one whose line was cut off", async () => {
    expect(await read(inPieces("data: 1\n\ndata: 2", 4))).toEqual(["1"]);
  });
});
