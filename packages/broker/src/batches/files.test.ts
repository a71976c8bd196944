import { setTimeout as delay } from "node:timers/promises";

import { newFileId } from "@headrace/contract";
import { describe, expect } from "vitest";

import { keys } from "../keys.ts";
import { objectOfFile } from "./file-record.ts";
import { batchTest as test } from "./test-batches.ts";

const LIST = { purpose: null, isNewestFirst: true, limit: 10, after: null } as const;

describe("files", () => {
  test("are as they were entered, for their tenant alone", async ({ files, upload }) => {
    const made = await upload({ filename: "../../etc/passwd", sizeBytes: 7 });

    expect(await files.get("acme", made.id)).toEqual(made);
    expect(made).toMatchObject({ filename: "../../etc/passwd", sizeBytes: 7, expiresAtMs: null });
    await expect(files.get("other", made.id)).rejects.toMatchObject({ code: "file_not_found" });
    await expect(files.get("acme", newFileId())).rejects.toMatchObject({ code: "file_not_found" });
  });

  test("are swept unless they were entered", async ({ files, removals, redis, upload }) => {
    const [left, kept] = [newFileId(), newFileId()];
    await files.begin(left);
    await upload({ id: kept });

    expect(await redis.zrange(keys.removals, "0", "-1")).toEqual([objectOfFile(left)]);
    expect(await removals.listDue(10)).toEqual([]);
    await redis.zadd(keys.removals, 1, objectOfFile(left));
    expect(await removals.listDue(10)).toEqual([objectOfFile(left)]);
  });

  test("are not entered once their object is due to be removed", async ({
    files,
    redis,
    upload,
  }) => {
    const id = newFileId();
    await expect(
      files.create({
        id,
        tenant: "acme",
        key: "root",
        filename: "a",
        purpose: "batch",
        sizeBytes: 1,
        lifetimeMs: null,
      }),
    ).rejects.toMatchObject({ code: "request_invalid" });
    await files.begin(id);
    await redis.zadd(keys.removals, 1, objectOfFile(id));
    const late = { id, tenant: "acme", key: "root", filename: "a", purpose: "batch" } as const;

    await expect(files.create({ ...late, sizeBytes: 1, lifetimeMs: null })).rejects.toMatchObject({
      code: "request_invalid",
    });
    expect((await upload({ id })).id).toBe(id);
  });

  test("are entered once, however often that is asked for", async ({ files, upload }) => {
    const made = await upload();
    const again = await files.create({ ...made, lifetimeMs: null });

    expect(again).toEqual(made);
    expect((await files.list("acme", LIST)).files).toHaveLength(1);
  });

  test("are listed by age, in pages, of one purpose", async ({ files, upload }) => {
    const first = await upload();
    const second = await upload({ purpose: "batch_output" });
    const third = await upload();
    await upload({ tenant: "other" });

    const page = await files.list("acme", { ...LIST, limit: 2 });
    expect(page.files.map(({ id }) => id)).toEqual([third.id, second.id]);
    expect(page.hasMore).toBe(true);
    const rest = await files.list("acme", { ...LIST, limit: 2, after: second.id });
    expect(rest.files.map(({ id }) => id)).toEqual([first.id]);
    expect(rest.hasMore).toBe(false);
    const oldest = await files.list("acme", { ...LIST, purpose: "batch", isNewestFirst: false });
    expect(oldest.files.map(({ id }) => id)).toEqual([first.id, third.id]);
    await expect(files.list("acme", { ...LIST, after: newFileId() })).rejects.toMatchObject({
      code: "file_not_found",
      param: "after",
    });
  });

  test("are gone when their time is over, and swept", async ({ files, removals, upload, make }) => {
    const brief = await upload({ lifetimeMs: 40 });
    const needed = await upload({ lifetimeMs: 40 });
    const kept = await upload({ lifetimeMs: 60_000 });
    const batch = await make({ inputFile: needed.id });
    await delay(50); // the time of a file is what is tested

    await expect(files.get("acme", brief.id)).rejects.toMatchObject({ code: "file_not_found" });
    expect((await files.list("acme", LIST)).files.map(({ id }) => id)).toEqual([kept.id]);
    expect(await removals.expireFiles(10)).toBe(1);
    expect(await removals.listDue(10)).toEqual([objectOfFile(brief.id)]);
    expect(batch.status).toBe("validating");
    await removals.forget(objectOfFile(brief.id));
    expect(await removals.listDue(10)).toEqual([]);
  });

  test("are deleted at once, unless a batch that has not ended needs them", async ({
    files,
    desk,
    batches,
    removals,
    upload,
    make,
    claim,
  }) => {
    const file = await upload();
    await expect(files.delete("other", file.id)).rejects.toMatchObject({ code: "file_not_found" });
    const batch = await make({ inputFile: file.id });

    await expect(files.delete("acme", file.id)).rejects.toMatchObject({
      code: "file_in_use",
      message: expect.stringContaining(batch.id),
    });
    await batches.cancel("acme", batch.id);
    await desk.finish(await claim(), { status: "cancelled" });
    await files.delete("acme", file.id);
    await expect(files.get("acme", file.id)).rejects.toMatchObject({ code: "file_not_found" });
    await expect(files.delete("acme", file.id)).rejects.toMatchObject({ code: "file_not_found" });
    expect(await removals.listDue(10)).toEqual([objectOfFile(file.id)]);
  });
});
