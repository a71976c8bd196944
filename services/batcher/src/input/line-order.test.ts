import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { orderByPrefix } from "./line-order.ts";
import { LineTable } from "./line-table.ts";

function tableOf(prefixes: readonly (readonly [number, number])[]): LineTable {
  const table = new LineTable();
  for (const [line, each] of prefixes.entries()) {
    table.add({ number: line + 1, offset: 0, sizeBytes: 1, idDigest: 0n, prefixes: each });
  }
  return table;
}

describe("the order of lines", () => {
  test("puts those together whose prompts begin alike, where the first of them stood", () => {
    const table = tableOf([
      [9, 90],
      [1, 10],
      [9, 91],
      [5, 50],
      [1, 11],
      [9, 90],
      [1, 10],
    ]);

    expect([...orderByPrefix(table)]).toEqual([0, 5, 2, 1, 6, 4, 3]);
  });

  test("is the file's where prompts have nothing in common", () => {
    const table = tableOf([
      [7, 7],
      [3, 3],
      [9, 9],
    ]);

    expect([...orderByPrefix(table)]).toEqual([0, 1, 2]);
  });

  test("has each line once, and each beginning in one piece", () => {
    const prefix = fc.tuple(fc.nat(5), fc.nat(3));
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 200 }), (prefixes) => {
        const order = [...orderByPrefix(tableOf(prefixes))];

        expect(order.toSorted((a, b) => a - b)).toEqual(prefixes.map((_, line) => line));
        const shorts = order.map((line) => prefixes[line]?.[0]);
        const changes = shorts.filter((short, i) => i === 0 || short !== shorts[i - 1]);
        expect(changes).toHaveLength(new Set(shorts).size);
      }),
    );
  });
});
