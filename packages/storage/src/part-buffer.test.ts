import { expect, test } from "vitest";

import { PartBuffer } from "./part-buffer.ts";

test("a part takes what fits, gives back the rest, and may grow when it is used again", () => {
  const part = new PartBuffer(200_000);
  const bytes = Buffer.alloc(150_000, "0123456789");

  expect(part.add(bytes.subarray(0, 7))).toHaveLength(0);
  expect(part.add(bytes.subarray(7))).toHaveLength(0);
  expect(part.isFull).toBe(false);
  expect(part.bytes.equals(bytes)).toBe(true);
  expect(part.add(bytes)).toHaveLength(100_000);
  expect(part.isFull).toBe(true);
  expect(part.bytes.equals(Buffer.alloc(200_000, "0123456789"))).toBe(true);
  expect(part.add(bytes)).toHaveLength(150_000);

  part.empty(300_000);
  expect(part.bytes).toHaveLength(0);
  expect(part.add(bytes)).toHaveLength(0);
  expect(part.add(bytes)).toHaveLength(0);
  expect(part.isFull).toBe(true);
  expect(part.bytes.equals(Buffer.alloc(300_000, "0123456789"))).toBe(true);
});
