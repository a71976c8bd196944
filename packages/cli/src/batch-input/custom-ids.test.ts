import { expect, test } from "vitest";

import { CustomIds } from "./custom-ids.ts";

test("custom ids are found by their order, however many there are", () => {
  const ids = new CustomIds();
  for (let n = 0; n < 20_000; n += 1) ids.add(`id-${n}`);
  const orders = Array.from({ length: 20_000 }, (_id, n) => ids.find(`id-${n}`));

  expect(ids.count).toBe(20_000);
  expect(orders.every((order, n) => order === n)).toBe(true);
  expect(ids.find("id-20000")).toBeNull();
  expect(ids.add("id-7")).toBe(7);
  expect(ids.count).toBe(20_000);
});
