import { chmod, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { describe, expect, test as base } from "vitest";

import { openObjects } from "./open.ts";

const test = base
  .extend("folder", async ({}, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-objects-"));
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend("objects", async ({ folder }) => openObjects(pathToFileURL(folder).href));

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

async function* failing(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("half");
  throw new Error("it broke off");
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("an object in a folder", () => {
  test("is not taken for missing where the folder itself has gone", async ({ objects, folder }) => {
    await objects.put("files/a", Buffer.from("kept"));
    await rm(folder, { recursive: true });

    await expect(objects.read("files/a")).rejects.toMatchObject({ code: "storage_unavailable" });
  });

  test("is read as it was stored, whole and in parts", async ({ objects }) => {
    const stored = await objects.put("files/a", pieces("01234", "", "56789"));
    const whole = await objects.read("files/a");
    const part = await objects.read("files/a", { range: { start: 2, end: 4 } });
    const rest = await objects.read("files/a", { range: { start: 8 } });

    expect(stored).toMatchObject({ key: "files/a", sizeBytes: 10 });
    expect(stored.sha256).toMatch(/^84d89877f0d4041e/);
    expect(await textOf(whole.body)).toBe("0123456789");
    expect(await textOf(part.body)).toBe("234");
    expect(await textOf(rest.body)).toBe("89");
    expect(part.sizeBytes).toBe(10);
  });

  test("is stored whole or not at all", async ({ objects, folder }) => {
    await objects.put("files/a", Buffer.from("before"));
    const aborted = new AbortController();
    const leaving = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from("half");
      aborted.abort(new Error("nobody waits"));
      yield Buffer.from("more");
    };

    await expect(objects.put("files/a", failing())).rejects.toThrow("it broke off");
    await expect(objects.put("files/a", leaving(), { signal: aborted.signal })).rejects.toThrow(
      "nobody waits",
    );
    expect(await textOf((await objects.read("files/a")).body)).toBe("before");
    expect(await readdir(join(folder, ".unfinished"))).toEqual([]);
  });

  test("is deleted, however often", async ({ objects }) => {
    await objects.put("files/a", Buffer.from("x"));
    await objects.delete("files/a");
    await objects.delete("files/a");

    await expect(objects.read("files/a")).rejects.toMatchObject({ code: "object_not_found" });
  });

  test.for([
    "",
    "/",
    "a//b",
    "../a",
    "a/../b",
    "/etc/passwd",
    ".unfinished/a",
    "a/.b",
    "a\0b",
    "a\\b",
    "x".repeat(600),
  ])("has no key that leads elsewhere: %j", async (key, { objects }) => {
    await expect(objects.put(key, Buffer.from("x"))).rejects.toThrow(RangeError);
    await expect(objects.read(key)).rejects.toThrow(RangeError);
    await expect(objects.delete(key)).rejects.toThrow(RangeError);
  });

  test("that was left half-written for a day is swept", async ({ objects, folder }) => {
    await objects.check();
    const [old, young] = [join(folder, ".unfinished", "old"), join(folder, ".unfinished", "young")];
    await Promise.all([writeFile(old, "x"), writeFile(young, "x")]);
    const longAgo = Date.now() / 1_000 - 2 * 24 * 3_600;
    await utimes(old, longAgo, longAgo);
    await openObjects(pathToFileURL(folder).href);

    expect(await readdir(join(folder, ".unfinished"))).toEqual(["young"]);
  });

  test.skipIf(process.getuid?.() === 0)(
    "says when it cannot be stored",
    async ({ objects, folder }) => {
      await chmod(join(folder, ".unfinished"), 0o500);

      await expect(objects.check()).rejects.toMatchObject({ code: "storage_unavailable" });
      await expect(objects.put("a", Buffer.from("x"))).rejects.toMatchObject({
        code: "storage_unavailable",
      });
    },
  );
});

test("a URL of another kind is none", async () => {
  await expect(openObjects("https://example.com")).rejects.toThrow("file:///path");
});
