import { describe, expect, test } from "vitest";

import { EventStream, type ServerEvent } from "./event-stream.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const readPieces = (pieces: readonly Uint8Array[]): ServerEvent[] => {
  const stream = new EventStream(1_000);
  return pieces.flatMap((piece) => stream.push(piece));
};

const whole =
  ': heartbeat\n\nid: 1-0\nevent: x\ndata: {"a":"größer 🌊"}\n\r\nid:1-1\r\ndata: one\r\ndata: two\r\n\r\n' +
  "data:three\r\rretry: 5\n\n";
const events = [
  { id: "1-0", data: '{"a":"größer 🌊"}' },
  { id: "1-1", data: "one\ntwo" },
  { id: "", data: "three" },
];

describe("EventStream", () => {
  test("reads the same events wherever the bytes are cut", () => {
    const bytes = bytesOf(whole);
    for (let at = 0; at <= bytes.length; at += 1) {
      expect(readPieces([bytes.subarray(0, at), bytes.subarray(at)]), `cut at ${at}`).toEqual(
        events,
      );
    }
    expect(readPieces([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(events);
  });

  test("gives no event that its empty line has not ended", () => {
    expect(readPieces([bytesOf("id: 1-0\ndata: half\n")])).toEqual([]);
  });

  test("refuses an event over its bound, in one line or in many", () => {
    expect(() => readPieces([bytesOf(`data: ${"x".repeat(1_000)}`)])).toThrow(/over 1000/);
    expect(() => readPieces([bytesOf("data: xxxxxxxxx\n".repeat(120))])).toThrow(/over 1000/);
  });

  test("bounds each event for itself", () => {
    expect(readPieces([bytesOf("data: xxxxxxxxx\n\n".repeat(120))])).toHaveLength(120);
  });
});
