import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import OpenAI, { APIError, ConflictError, NotFoundError, toFile } from "openai";
import { describe, expect, test as base } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

/** The first test also starts the platform. */
const TIMEOUT_MS = 20_000;
const LARGE_TIMEOUT_MS = 90_000;
const MEBIBYTE = 1_048_576;
const LARGE_BYTES = 190 * MEBIBYTE;
/** What an ingress may grow by while it is sent a large file, of which it may hold a part only. */
const GROWTH_BYTES = 90 * MEBIBYTE;

const test = base
  .extend("folder", { scope: "file" }, async ({}, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-e2e-"));
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return folder;
  })
  .extend("platform", { scope: "file" }, async ({ folder }, { onCleanup }) => {
    const ingress = { STORAGE_URL: pathToFileURL(folder).href };
    const platform = await Platform.start({ ingress });
    onCleanup(() => platform.stop());
    return platform;
  })
  .extend(
    "openai",
    ({ platform }) => new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: API_KEY, maxRetries: 0 }),
  );

describe("the official openai package", { timeout: TIMEOUT_MS }, () => {
  test("uploads, lists, reads and deletes files", async ({ openai }) => {
    const line = '{"custom_id":"1"}\n';
    const file = await openai.files.create({
      file: await toFile(Buffer.from(line), "prompts.jsonl"),
      purpose: "batch",
      expires_after: { anchor: "created_at", seconds: 3_600 },
    });

    expect(file).toMatchObject({ object: "file", bytes: line.length, filename: "prompts.jsonl" });
    expect(file.expires_at).toBe(file.created_at + 3_600);
    expect(await openai.files.retrieve(file.id)).toEqual(file);
    const listed: string[] = [];
    for await (const { id } of openai.files.list({ purpose: "batch" })) listed.push(id);
    expect(listed).toContain(file.id);
    expect(await (await openai.files.content(file.id)).text()).toBe(line);
    expect(await openai.files.delete(file.id)).toMatchObject({ id: file.id, deleted: true });
    await expect(openai.files.retrieve(file.id)).rejects.toBeInstanceOf(NotFoundError);
  });

  test("makes, lists and cancels batches", async ({ openai }) => {
    const file = await openai.files.create({
      file: await toFile(Buffer.from("{}\n"), "prompts.jsonl"),
      purpose: "batch",
    });
    const batch = await openai.batches.create({
      input_file_id: file.id,
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
      metadata: { run: "7" },
      output_expires_after: { anchor: "created_at", seconds: 3_600 },
    });

    expect(batch).toMatchObject({ object: "batch", status: "validating", metadata: { run: "7" } });
    expect(await openai.batches.retrieve(batch.id)).toEqual(batch);
    const listed: string[] = [];
    for await (const { id } of openai.batches.list({ limit: 1 })) listed.push(id);
    expect(listed).toContain(batch.id);
    await expect(openai.files.delete(file.id)).rejects.toBeInstanceOf(ConflictError);
    expect((await openai.batches.cancel(batch.id)).status).toBe("cancelling");
  });

  test("is told what is wrong as by OpenAI", async ({ openai }) => {
    const wrong = openai.batches.create({
      input_file_id: "file-none",
      endpoint: "/v1/chat/completions",
      completion_window: "24h",
    });

    await expect(wrong).rejects.toBeInstanceOf(APIError);
    await expect(wrong).rejects.toMatchObject({ status: 404, code: "file_not_found" });
  });
});

describe("a large file", () => {
  test(
    "is taken in, and given out, in flat memory",
    { timeout: LARGE_TIMEOUT_MS },
    async ({ openai, platform, folder }) => {
      const before = await peakOf(platform.ingress.pid);
      const piece = new Uint8Array(MEBIBYTE).fill(97);
      const content = new Blob(Array.from({ length: LARGE_BYTES / MEBIBYTE }, () => piece));
      const file = await openai.files.create({ file: new File([content], "a"), purpose: "batch" });
      const response = await openai.files.content(file.id);
      let readBytes = 0;
      for await (const chunk of response.body ?? []) readBytes += chunk.length;

      expect(file.bytes).toBe(LARGE_BYTES);
      expect(readBytes).toBe(LARGE_BYTES);
      expect((await peakOf(platform.ingress.pid)) - before).toBeLessThan(GROWTH_BYTES);
      await openai.files.delete(file.id);
      expect(await readdir(join(folder, "files"))).not.toContain(file.id);
    },
  );
});

/** The most memory that a process ever had, bytes. */
async function peakOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1]) * 1_024;
}
