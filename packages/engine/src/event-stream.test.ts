import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { EventStream } from "./event-stream.ts";

const MAX_EVENT_BYTES = 4_096;

function read(pieces: readonly Buffer[]): string[] {
  const events: string[] = [];
  const stream = new EventStream(MAX_EVENT_BYTES, (data) => events.push(data));
  for (const piece of pieces) stream.push(piece);
  const rest = stream.end();
  return rest === "" ? events : [...events, rest];
}

function readText(text: string): string[] {
  return read([Buffer.from(text)]);
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const ends = [...at.map((point) => point % (bytes.length + 1)), bytes.length].toSorted(
    (a, b) => a - b,
  );
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

describe("an event stream", () => {
  test.for([
    ["LF", "data: a\n\ndata: b\n\n", ["a", "b"]],
    ["CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
    ["no space after the colon", "data:a\n\n", ["a"]],
    ["only the first space dropped", "data:  a \n\n", [" a "]],
    ["a byte order mark", "\uFEFFdata: a\n\n", ["a"]],
    ["comments and other fields", ": ping\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\n", ["a"]],
    ["several data lines", "data: a\ndata: b\n\n", ["a\nb"]],
    ["names that only begin like data", "dat: x\ndatax: y\ndata\ndata: a\n\n", ["a"]],
    ["no final newline", "data: a\n\ndata: b", ["a", "b"]],
    ["no final empty line", "data: a\n\ndata: b\n", ["a", "b"]],
    ["the replacement character itself", "data: \uFFFD\n\n", ["\uFFFD"]],
    ["empty events", "data:\n\n\n\ndata: a\n\n", ["a"]],
  ] as const)("is read with %s", ([, text, events]) => {
    expect(readText(text)).toEqual(events);
  });

  test("gives the same events however its bytes are cut", () => {
    const newline = fc.constantFrom("\n", "\r\n");
    const word = fc
      .string({ unit: "binary", maxLength: 40 })
      .map((text) => text.replace(/[\r\n]/g, "·"));
    const line = fc.oneof(
      word.map((text) => `data: ${text}`),
      word.map((text) => `:${text}`),
      fc.constant(""),
    );
    const stream = fc
      .tuple(fc.constantFrom("", "\uFEFF"), fc.array(fc.tuple(line, newline), { maxLength: 30 }))
      .map(([mark, lines]) => Buffer.from(mark + lines.flat().join("")));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 60 }), (bytes, points) => {
        expect(read(cut(bytes, points))).toEqual(read([bytes]));
        expect(read([...bytes].map((byte) => Buffer.of(byte)))).toEqual(read([bytes]));
      }),
      { numRuns: 300 },
    );
  });

  test("refuses data that is not UTF-8, whole or cut", () => {
    const bytes = Buffer.concat([
      Buffer.from("data: "),
      Buffer.of(0xc3, 0x28),
      Buffer.from("\n\n"),
    ]);

    expect(() => read([bytes])).toThrow(expect.objectContaining({ code: "engine_failed" }));
    expect(() => read(cut(bytes, [7]))).toThrow(expect.objectContaining({ code: "engine_failed" }));
  });

  test.for([
    ["one line that never ends", `data: ${"x".repeat(5_000)}`],
    ["one long line", `data: ${"x".repeat(5_000)}\n\n`],
    ["many short lines", "data: xxxxxxxxxx\n".repeat(500)],
  ] as const)("refuses an event over its bound: %s", ([, text]) => {
    const bytes = Buffer.from(text);

    expect(() => read([bytes])).toThrow(/over 4096 bytes/);
    expect(() => read(cut(bytes, [1_000, 2_000, 3_000]))).toThrow(/over 4096 bytes/);
  });

  test("reads a line of a mebibyte that comes byte by byte in linear time", () => {
    const events: number[] = [];
    const stream = new EventStream(1_048_576, (data) => events.push(data.length));
    const bytes = Buffer.from(`data: ${"x".repeat(1_000_000)}\n\n`);

    for (let at = 0; at < bytes.length; at += 1) stream.push(bytes.subarray(at, at + 1));

    expect(events).toEqual([1_000_000]);
  });
});
