import { mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { test as base, describe, expect } from "vitest";

import { openObjects } from "./open.ts";
import { bytes, failing, textOf } from "./testing/bodies.ts";
import { describeObjectStore } from "./testing/store-contract.ts";

async function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "headrace-objects-"));
}

describeObjectStore({
  name: "a folder",
  decidesRivals: true,
  async make() {
    const folder = await makeFolder();
    return {
      objects: await openObjects(pathToFileURL(folder).href),
      remove: () => rm(folder, { recursive: true, force: true }),
    };
  },
});

const test = base
  .extend("folder", async ({}, { onCleanup }) => {
    const folder = await makeFolder();
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend("objects", async ({ folder }) => openObjects(pathToFileURL(folder).href));

describe("a folder of objects", () => {
  test("that has gone is not taken for one without objects", async ({ objects, folder }) => {
    await objects.put("files/a", Buffer.from("kept"));
    await rm(folder, { recursive: true });

    const calls: (() => Promise<unknown>)[] = [
      () => objects.read("files/a"),
      () => objects.find("files/a"),
      () => objects.list(""),
      () => objects.delete("files/a"),
      () => objects.put("files/a", Buffer.from("x")),
      () => objects.check(),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({ code: "storage_unavailable" });
    }
  });

  test("that cannot be written to says so, to root too", async ({ objects, folder }) => {
    // Nobody may make a file below a file.
    await rm(join(folder, ".unfinished"), { recursive: true });
    await writeFile(join(folder, ".unfinished"), "");

    await expect(objects.check()).rejects.toMatchObject({ code: "storage_unavailable" });
    await expect(objects.put("a", Buffer.from("x"))).rejects.toMatchObject({
      code: "storage_unavailable",
    });
    await expect(openObjects(pathToFileURL(folder).href)).rejects.toMatchObject({
      code: "storage_unavailable",
    });
  });

  test("keeps nothing of what was not stored whole", async ({ objects, folder }) => {
    await objects.put("a", Buffer.from("x"));
    await expect(objects.put("b", failing(bytes(100_000), new Error("off")))).rejects.toThrow(
      "off",
    );
    await expect(objects.put("a", bytes(100_000), { ifAbsent: true })).rejects.toMatchObject({
      code: "object_exists",
    });

    expect(await readdir(join(folder, ".unfinished"))).toEqual([]);
    expect(await readdir(folder)).toEqual([".unfinished", "a"]);
    expect((await stat(join(folder, "a"))).nlink).toBe(1);
  });

  test("sweeps what was left half-written for a day, and lists none of it", async ({
    objects,
    folder,
  }) => {
    const [old, young] = [join(folder, ".unfinished", "old"), join(folder, ".unfinished", "young")];
    await Promise.all([writeFile(old, "x"), writeFile(young, "x")]);
    const longAgo = Date.now() / 1_000 - 2 * 24 * 3_600;
    await utimes(old, longAgo, longAgo);

    expect((await objects.list("")).objects).toEqual([]);
    await openObjects(pathToFileURL(folder).href);
    expect(await readdir(join(folder, ".unfinished"))).toEqual(["young"]);
  });

  test("refuses a key that is a folder of another, for good", async ({ objects }) => {
    await objects.put("a/b/c", Buffer.from("kept"));

    const outcomes = await Promise.allSettled(
      ["a", "a/b", "a/b/c/d", "a/b/c/d/e"].flatMap((key) => [
        objects.put(key, Buffer.from("x")),
        objects.put(key, Buffer.from("x"), { ifAbsent: true }),
      ]),
    );

    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ reason: expect.any(RangeError) });
    expect(await textOf((await objects.read("a/b/c")).body)).toBe("kept");
  });

  test("has no folder of its own left once its objects have gone", async ({ objects, folder }) => {
    await objects.put("a/b/c/e", Buffer.from("x"));
    await objects.put("a/d", Buffer.from("x"));
    await objects.delete("a/b/c/e");

    expect(await readdir(join(folder, "a"))).toEqual(["d"]);
    await objects.delete("a/d");
    expect(await readdir(folder)).toEqual([".unfinished"]);
  });

  test("takes an object into a folder that others empty", async ({ objects }) => {
    const deleting = async (name: string): Promise<void> => {
      for (let round = 0; round < 10; round += 1) {
        await objects.put(`deep/er/${name}`, Buffer.from("x"));
        await objects.delete(`deep/er/${name}`);
      }
    };
    await Promise.all(["a", "b", "c", "d"].map(deleting));

    expect((await objects.list("")).objects).toEqual([]);
  });
});
