import { describe, expect } from "vitest";

import type { ObjectStore } from "../objects.ts";
import type { StoreTest } from "./store-test.ts";

/** In the order of their bytes, which is that of no dictionary. */
const KEYS = [
  "A",
  "a-b",
  "a.b",
  "a/1",
  "a/B/x",
  "a/b-c",
  "a/b/1",
  "a/b/2",
  "a/b0",
  "a_b",
  "ab",
  "b/c/d/e",
];

/** What a `list` promises. */
export function describeListing(test: StoreTest): void {
  describe("that are listed", () => {
    describeOrder(test);
    describePages(test);
  });
}

function describeOrder(test: StoreTest): void {
  test("come in the order of their keys, with their sizes", async ({ objects }) => {
    await fill(objects);
    const { objects: listed, hasMore } = await objects.list("");

    expect(listed).toEqual(KEYS.map((key) => ({ key, sizeBytes: key.length })));
    expect(hasMore).toBe(false);
  });

  test.for([
    ["a", KEYS.slice(1, -1)],
    ["a/", ["a/1", "a/B/x", "a/b-c", "a/b/1", "a/b/2", "a/b0"]],
    ["a/b", ["a/b-c", "a/b/1", "a/b/2", "a/b0"]],
    ["a/b/2", ["a/b/2"]],
    ["b/c/d", ["b/c/d/e"]],
    ["c", []],
    ["ab/", []],
    ["c/d/e/", []],
  ] as const)("are those whose keys begin with %j", async ([prefix, keys], { objects }) => {
    await fill(objects);
    const { objects: listed } = await objects.list(prefix);

    expect(listed.map(({ key }) => key)).toEqual(keys);
  });

  test("are none where none was stored", async ({ objects }) => {
    expect(await objects.list("")).toEqual({ objects: [], hasMore: false });
  });

  test.for(["/", "../", "a//b", ".unfinished/", "a/.", "a\0", "x".repeat(600)])(
    "have no keys that begin with %j",
    async (prefix, { objects }) => {
      await expect(objects.list(prefix)).rejects.toThrow(RangeError);
    },
  );
}

function describePages(test: StoreTest): void {
  test.for([1, 2, 5, KEYS.length])("come in pages of %d", async (limit, { objects }) => {
    await fill(objects);
    const pages: (readonly string[])[] = [];
    for (let after: string | undefined; ; after = pages.at(-1)?.at(-1)) {
      const page = await objects.list("", { limit, ...(after === undefined ? {} : { after }) });
      pages.push(page.objects.map(({ key }) => key));
      if (!page.hasMore) break;
    }

    expect(pages.flat()).toEqual(KEYS);
    expect(pages).toHaveLength(Math.ceil(KEYS.length / limit));
  });

  test.for([
    ["a-b", KEYS.slice(2)],
    ["a/b", KEYS.slice(5)],
    ["a/b/1", KEYS.slice(7)],
    ["a/b/9", KEYS.slice(8)],
    ["a0", ["a_b", "ab", "b/c/d/e"]],
    ["b/c/d/e", []],
  ] as const)("begin after %j, there or not", async ([after, keys], { objects }) => {
    await fill(objects);
    const { objects: listed } = await objects.list("", { after });

    expect(listed.map(({ key }) => key)).toEqual(keys);
  });

  test("begin after one of another prefix", async ({ objects }) => {
    await fill(objects);
    const listed = async (after: string): Promise<number> =>
      (await objects.list("a/", { after })).objects.length;

    expect([await listed("A"), await listed("a/1"), await listed("b")]).toEqual([6, 5, 0]);
  });

  test.for([0, -1, 1.5, 1_001, Number.NaN])("are never %d", async (limit, { objects }) => {
    await expect(objects.list("", { limit })).rejects.toThrow(RangeError);
  });
}

async function fill(objects: ObjectStore): Promise<void> {
  await Promise.all(KEYS.toReversed().map((key) => objects.put(key, Buffer.from(key))));
}
