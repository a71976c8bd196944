import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { LineScanner, LONGEST_LINE_BYTES, type ScannedLine } from "./line-scanner.ts";

type ReadLine = Omit<ScannedLine, "bytes"> & { readonly text: string | null };

function readLine({ bytes, ...line }: ScannedLine): ReadLine {
  return { ...line, text: bytes?.toString() ?? null };
}

/** Scan chunks; lines are read at once, as they are only valid so long. */
function scan(chunks: readonly Buffer[]): ReadLine[] {
  const scanner = new LineScanner();
  const lines = chunks.flatMap((chunk) => [...scanner.take(chunk)].map(readLine));
  return [...lines, ...[...scanner.end()].map(readLine)];
}

describe("a line scanner", () => {
  test("finds the same lines however the file is cut, and where they are", () => {
    const line = fc
      .string({ unit: "grapheme", maxLength: 20 })
      .map((text) => text.replaceAll("\n", ""));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(200)), (texts, cuts) => {
        const file = Buffer.from(texts.map((text) => `${text}\n`).join(""));
        const places = [0, ...cuts.map((cut) => Math.min(cut, file.length)), file.length];
        const sorted = places.toSorted((a, b) => a - b);
        const chunks = sorted.slice(1).map((end, i) => file.subarray(sorted[i], end));

        const found = scan(chunks);

        expect(found).toEqual(scan([file]));
        for (const { offset, text } of found) {
          expect(file.subarray(offset, offset + Buffer.byteLength(text ?? "")).toString()).toBe(
            text,
          );
        }
      }),
    );
  });

  test("leaves blank lines, ends of other systems and a mark at the start out, and counts on", () => {
    const found = scan([Buffer.from("\ufeffone\r\n\r\n  \t\n\nfive")]);

    expect(found).toEqual([
      { number: 1, offset: 3, text: "one" },
      { number: 5, offset: 15, text: "five" },
    ]);
  });

  test("drops a line that is too long, and reads on behind it", () => {
    const chunk = Buffer.alloc(LONGEST_LINE_BYTES / 4, "x");
    const chunks = Array.from({ length: 5 }, () => chunk);

    const found = scan([...chunks, Buffer.from("\nnext\n")]);

    expect(found).toEqual([
      { number: 1, offset: 0, text: null },
      { number: 2, offset: chunk.length * 5 + 1, text: "next" },
    ]);
  });

  test("takes nothing for a file without lines", () => {
    expect(scan([])).toEqual([]);
    expect(scan([Buffer.from("\n\n \n")])).toEqual([]);
  });
});
