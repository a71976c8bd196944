import { expect, test } from "vitest";

import { MOST_PARTS, partBytes } from "./part-sizes.ts";

const MEBIBYTE = 1_048_576;
/** The highest that BATCH_FILE_BYTES may be set to. */
const LARGEST_FILE_BYTES = 102_400 * MEBIBYTE;

test("the parts of one object hold the largest file, and two of them little memory", () => {
  let heldBytes = 0;
  for (let number = 1; number <= MOST_PARTS; number += 1) heldBytes += partBytes(number);

  expect(heldBytes).toBe(187_500 * MEBIBYTE);
  expect(heldBytes).toBeGreaterThan(LARGEST_FILE_BYTES);
  expect([1, 2_500, 2_501, MOST_PARTS].map((number) => partBytes(number) / MEBIBYTE)).toEqual([
    5, 5, 10, 40,
  ]);
});
