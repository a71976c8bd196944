import { describe, expect } from "vitest";

import { pieces, textOf } from "./bodies.ts";
import type { StoreTest } from "./store-test.ts";

const STRAYS = [
  "",
  "/",
  "a//b",
  "a/",
  "../a",
  "a/../b",
  "/etc/passwd",
  ".unfinished/a",
  "a/.b",
  "a\0b",
  "a\\b",
  "x".repeat(600),
];

/** What the other calls promise. */
export function describeFinding(test: StoreTest): void {
  describe("that are looked for", () => {
    describeDeleting(test);
    describeSigning(test);
  });
}

function describeDeleting(test: StoreTest): void {
  test("are found until they are deleted, however often", async ({ objects }) => {
    await objects.put("files/a", pieces("0123", "4"));
    await objects.put("files/b", pieces("other"));

    expect(await objects.find("files/a")).toEqual({ key: "files/a", sizeBytes: 5 });
    await objects.delete("files/a");
    await objects.delete("files/a");
    await objects.delete("never/there");
    await objects.delete("files/b/c");
    await objects.delete("files");
    expect(await objects.find("files/a")).toBeNull();
    expect(await objects.find("files")).toBeNull();
    await expect(objects.read("files/a")).rejects.toMatchObject({ code: "object_not_found" });
    expect(await textOf((await objects.read("files/b")).body)).toBe("other");
  });

  test.for(STRAYS)("have no key that leads elsewhere: %j", async (key, { objects }) => {
    await expect(objects.put(key, Buffer.from("x"))).rejects.toThrow(RangeError);
    await expect(objects.read(key)).rejects.toThrow(RangeError);
    await expect(objects.find(key)).rejects.toThrow(RangeError);
    await expect(objects.delete(key)).rejects.toThrow(RangeError);
    await expect(objects.sign(key, { lifetimeSeconds: 60 })).rejects.toThrow(RangeError);
    // An empty one is none to begin after.
    if (key !== "") await expect(objects.list("", { after: key })).rejects.toThrow(RangeError);
  });

  test("can be stored, says a check that leaves nothing", async ({ objects }) => {
    await objects.check();
    await objects.check();

    expect((await objects.list("")).objects).toEqual([]);
  });
}

function describeSigning(test: StoreTest): void {
  test("may be read by URL, where there are such", async ({ objects }) => {
    await objects.put("files/a", pieces("01234"));
    const url = await objects.sign("files/a", { lifetimeSeconds: 60 });
    const missing = await objects.sign("files/b", { lifetimeSeconds: 60 });

    const text = url === null ? "01234" : await (await fetch(url)).text();
    expect(text).toBe("01234");
    expect(missing === null).toBe(url === null);
  });

  test.for([0, -1, 0.5, 7 * 86_400 + 1])(
    "have no URL that lives for %d seconds",
    async (lifetimeSeconds, { objects }) => {
      await expect(objects.sign("files/a", { lifetimeSeconds })).rejects.toThrow(RangeError);
    },
  );
}
