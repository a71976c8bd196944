import { describe, expect } from "vitest";

import { bytes, digestOf, failing, pieces, silent, textOf } from "./bodies.ts";
import type { StoreTest } from "./store-test.ts";

/** More than goes to S3 in one request, and no whole number of those. */
const LARGE_BYTES = 12 * 1_048_576 + 77;
const RIVALS = 8;

/** What a `put` promises. */
export function describeStoring(test: StoreTest): void {
  describe("that are stored", () => {
    describeBodies(test);
    describeFailures(test);
    describeConditions(test);
  });
}

function describeBodies(test: StoreTest): void {
  test("are answered with their size and their digest", async ({ objects }) => {
    const stored = await objects.put("files/a", pieces("01234", "", "56789"));

    expect(stored).toEqual({
      key: "files/a",
      sizeBytes: 10,
      sha256: "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882",
    });
  });

  test.for([0, 1, LARGE_BYTES])("are all there with %d bytes", async (sizeBytes, { objects }) => {
    const stored = await objects.put("files/a", bytes(sizeBytes));
    const { sizeBytes: found, body } = await objects.read("files/a");

    expect(stored.sizeBytes).toBe(sizeBytes);
    expect(found).toBe(sizeBytes);
    expect(await digestOf(body)).toEqual({ sizeBytes, sha256: stored.sha256 });
    expect(stored.sha256).toBe((await digestOf(bytes(sizeBytes))).sha256);
  });

  test("may be one piece, however large", async ({ objects }) => {
    const stored = await objects.put("files/a", Buffer.alloc(LARGE_BYTES, "abc"));

    expect(await digestOf((await objects.read("files/a")).body)).toEqual({
      sizeBytes: LARGE_BYTES,
      sha256: stored.sha256,
    });
  });

  test("take the place of those before them", async ({ objects }) => {
    await objects.put("files/a", Buffer.from("a long one before"));
    await objects.put("files/a", Buffer.from("after"));

    expect(await textOf((await objects.read("files/a")).body)).toBe("after");
  });
}

function describeFailures(test: StoreTest): void {
  test.for([5, LARGE_BYTES])(
    "are whole or not there, when the body fails after %d bytes",
    async (sizeBytes, { objects }) => {
      await objects.put("files/before", Buffer.from("before"));
      const error = new Error("it broke off");

      await expect(objects.put("files/before", failing(bytes(sizeBytes), error))).rejects.toBe(
        error,
      );
      await expect(objects.put("files/new", failing(bytes(sizeBytes), error))).rejects.toBe(error);
      expect(await textOf((await objects.read("files/before")).body)).toBe("before");
      expect(await objects.find("files/new")).toBeNull();
      expect((await objects.list("")).objects).toHaveLength(1);
    },
  );

  test.for([5, LARGE_BYTES])(
    "are cut off by a signal while the body is silent after %d bytes",
    async (sizeBytes, { objects }) => {
      const abort = new AbortController();
      const reason = new Error("nobody waits");
      const body = silent(bytes(sizeBytes), () => abort.abort(reason));

      await expect(objects.put("files/a", body, { signal: abort.signal })).rejects.toBe(reason);
      expect(await objects.find("files/a")).toBeNull();
    },
  );

  test("are not begun when the signal is aborted before", async ({ objects }) => {
    const signal = AbortSignal.abort(new Error("nobody waits"));

    await expect(objects.put("files/a", pieces("x"), { signal })).rejects.toBe(signal.reason);
    await expect(objects.put("files/a", Buffer.from("x"), { signal })).rejects.toBe(signal.reason);
    expect(await objects.find("files/a")).toBeNull();
  });

  test("leave a body that is cut off", async ({ objects }) => {
    const abort = new AbortController();
    const left = Promise.withResolvers<string>();
    const leaving = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield Buffer.from("half");
        abort.abort(new Error("nobody waits"));
        yield Buffer.from("more");
      } finally {
        left.resolve("left");
      }
    };

    await expect(objects.put("a", leaving(), { signal: abort.signal })).rejects.toThrow("nobody");
    expect(await left.promise).toBe("left");
  });
}

function describeConditions(test: StoreTest): void {
  test.for([3, LARGE_BYTES])(
    "only where there is none are refused where there is, with %d bytes",
    async (sizeBytes, { objects }) => {
      const first = await objects.put("files/a", bytes(sizeBytes), { ifAbsent: true });
      const second = objects.put("files/a", bytes(sizeBytes + 1), { ifAbsent: true });

      await expect(second).rejects.toMatchObject({ code: "object_exists" });
      expect(await digestOf((await objects.read("files/a")).body)).toEqual({
        sizeBytes,
        sha256: first.sha256,
      });
      await objects.delete("files/a");
      await objects.put("files/a", Buffer.from("again"), { ifAbsent: true });
      expect((await objects.list("")).objects).toEqual([{ key: "files/a", sizeBytes: 5 }]);
    },
  );

  test("at once under one key are one of them, whole", async ({ objects }) => {
    const puts = Array.from({ length: RIVALS }, (_, rival) =>
      objects.put("files/a", pieces(`rival `, `${rival}`)),
    );
    await Promise.all(puts);

    expect(await textOf((await objects.read("files/a")).body)).toMatch(/^rival [0-7]$/);
  });
}

/** What a `put` with `ifAbsent` promises of several at once. */
export function describeRivals(test: StoreTest): void {
  test("that several store where there is none are one of theirs", async ({ objects }) => {
    const puts = Array.from({ length: RIVALS }, (_, rival) =>
      objects.put("files/a", pieces(`rival ${rival}`), { ifAbsent: true }),
    );
    const outcomes = await Promise.allSettled(puts);
    const won = outcomes.flatMap((outcome, rival) =>
      outcome.status === "fulfilled" ? [rival] : [],
    );
    const codes = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [outcome.reason.code] : [],
    );

    expect(won).toHaveLength(1);
    expect(codes).toEqual(Array.from({ length: RIVALS - 1 }, () => "object_exists"));
    expect(await textOf((await objects.read("files/a")).body)).toBe(`rival ${won[0]}`);
  });
}
