import { describe, expect } from "vitest";

import { bytes, digestOf, pieces, textOf } from "./bodies.ts";
import type { StoreTest } from "./store-test.ts";

const LARGE_BYTES = 4 * 1_048_576;

/** What a `read` promises. */
export function describeReading(test: StoreTest): void {
  describe("that are read", () => {
    describeRanges(test);
    describeEnds(test);
  });
}

function describeRanges(test: StoreTest): void {
  test.for([
    [{ start: 0 }, "0123456789"],
    [{ start: 0, end: 0 }, "0"],
    [{ start: 2, end: 4 }, "234"],
    [{ start: 8 }, "89"],
    [{ start: 8, end: 400 }, "89"],
    [{ start: 10 }, ""],
    [{ start: 400, end: 500 }, ""],
  ] as const)("are read in part: %j", async ([range, text], { objects }) => {
    await objects.put("files/a", pieces("01234", "56789"));
    const { sizeBytes, body } = await objects.read("files/a", { range });

    expect(await textOf(body)).toBe(text);
    expect(sizeBytes).toBe(10);
  });

  test("give nothing of one that is empty, in part", async ({ objects }) => {
    await objects.put("files/a", pieces());

    expect(await textOf((await objects.read("files/a", { range: { start: 0 } })).body)).toBe("");
  });

  test.for([{ start: -1 }, { start: 2, end: 1 }, { start: 0.5 }, { start: 0, end: Number.NaN }])(
    "have no such part: %j",
    async (range, { objects }) => {
      await objects.put("files/a", pieces("01234"));

      await expect(objects.read("files/a", { range })).rejects.toThrow(RangeError);
    },
  );
}

function describeEnds(test: StoreTest): void {
  test("are told to be missing, also below another", async ({ objects }) => {
    await objects.put("files/a", pieces("x"));

    for (const key of ["files/b", "elsewhere/a", "files/a/b", "files"]) {
      await expect(objects.read(key)).rejects.toMatchObject({ code: "object_not_found" });
    }
  });

  test("may be left, and be read by many at once", async ({ objects }) => {
    const { sha256 } = await objects.put("files/a", bytes(LARGE_BYTES));
    for (let left = 0; left < 60; left += 1) {
      const { body } = await objects.read("files/a");
      for await (const chunk of body) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
    }
    // Those whose body nobody even begins to read.
    for (let left = 0; left < 60; left += 1) await objects.read("files/a");
    const read = async (): Promise<unknown> => digestOf((await objects.read("files/a")).body);

    expect(await Promise.all([read(), read(), read()])).toEqual(
      Array.from({ length: 3 }, () => ({ sha256, sizeBytes: LARGE_BYTES })),
    );
  });

  test("end with the signal's reason when it is aborted", async ({ objects }) => {
    await objects.put("files/a", bytes(LARGE_BYTES));
    const abort = new AbortController();
    const reason = new Error("nobody reads");
    const { body } = await objects.read("files/a", { signal: abort.signal });
    const reading = async (): Promise<void> => {
      for await (const chunk of body) if (chunk.length > 0) abort.abort(reason);
    };

    await expect(reading()).rejects.toBe(reason);
    await expect(objects.read("files/a", { signal: abort.signal })).rejects.toBe(reason);
  });
}
