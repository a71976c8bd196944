import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { batchOutputLineSchema, type BatchOutputLine } from "@headrace/contract";
import { Redis } from "ioredis";
import OpenAI, { toFile } from "openai";
import type { Batch, BatchCreateParams } from "openai/resources/batches";
import { describe, expect, test as base } from "vitest";
import { z } from "zod";

import { API_KEY, Platform } from "../platform.ts";

const TIMEOUT_MS = 60_000;
const LOOK_MS = 100;
const ENDS: ReadonlySet<string> = new Set(["completed", "failed", "expired", "cancelled"]);
const KILLS = 4;

const test = base
  .extend("storage", { scope: "file" }, async ({}, { onCleanup }) => {
    const folder = await mkdtemp(join(tmpdir(), "headrace-batches-"));
    onCleanup(() => rm(folder, { recursive: true, force: true }));
    return { STORAGE_URL: pathToFileURL(folder).href };
  })
  .extend("platform", { scope: "file" }, async ({ storage }, { onCleanup }) => {
    const platform = await Platform.start({ ingress: storage });
    onCleanup(() => platform.stop());
    return platform;
  })
  .extend("redis", { scope: "file" }, async ({ platform }, { onCleanup }) => {
    const redis = new Redis(platform.redis.url);
    onCleanup(() => redis.disconnect());
    return redis;
  })
  .extend("batcher", { scope: "file", auto: true }, async ({ platform, storage }) =>
    platform.startBatcher({ ...storage, HEADRACE_GPU_HOUR_PRICE: "2" }),
  )
  .extend(
    "openai",
    ({ platform }) => new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: API_KEY, maxRetries: 0 }),
  )
  .extend("model", async ({ openai }) => (await openai.models.list()).data[0]?.id ?? "")
  .extend(
    "create",
    ({ openai }) =>
      async (lines: readonly object[], endpoint: BatchCreateParams["endpoint"] = CHAT) => {
        const text = lines.map((each) => `${JSON.stringify(each)}\n`).join("");
        const file = await openai.files.create({
          file: await toFile(Buffer.from(text), "prompts.jsonl"),
          purpose: "batch",
        });
        return openai.batches.create({
          input_file_id: file.id,
          endpoint,
          completion_window: "24h",
        });
      },
  )
  .extend("whenEnded", ({ openai }) => async ({ id }: Batch): Promise<Batch> => {
    while (true) {
      const batch = await openai.batches.retrieve(id);
      if (ENDS.has(batch.status)) return batch;
      await delay(LOOK_MS);
    }
  })
  .extend("read", ({ openai }) => async (file: string | null | undefined) => {
    if (!file) return [];
    return parseLines(await (await openai.files.content(file)).text());
  });

const CHAT = "/v1/chat/completions";

function parseLines(text: string): BatchOutputLine[] {
  const lines = text.split("\n").slice(0, -1);
  return lines.map((each) => batchOutputLineSchema.parse(JSON.parse(each)));
}

function line(id: number | string, body: object, url: string = CHAT): object {
  return { custom_id: String(id), method: "POST", url, body };
}

function chat(model: string, content: string, more: object = {}): object {
  return { model, max_tokens: 16, messages: [{ role: "user", content }], ...more };
}

function idsOf(lines: readonly BatchOutputLine[]): string[] {
  return lines.map(({ custom_id: id }) => id).toSorted();
}

const usageSchema = z.looseObject({ usage: z.looseObject({ total_tokens: z.int() }) });

describe("a batch", { timeout: TIMEOUT_MS }, () => {
  test("comes to an answer for each line, or an error, and leaves no job", async ({
    redis,
    model,
    create,
    whenEnded,
    read,
  }) => {
    const lines = Array.from({ length: 60 }, (_, i) =>
      line(i, chat(model, `Say ${i}.`, i === 7 ? { n: 99 } : {})),
    );

    const batch = await whenEnded(await create(lines));

    expect(batch).toMatchObject({
      status: "completed",
      model,
      request_counts: { total: 60, completed: 59, failed: 1 },
      progress: { waiting_for: null },
    });
    const [answers, errors] = [await read(batch.output_file_id), await read(batch.error_file_id)];
    expect(idsOf([...answers, ...errors])).toEqual(lines.map((_, i) => `${i}`).toSorted());
    expect(errors).toMatchObject([
      {
        custom_id: "7",
        error: null,
        response: { status_code: 400, body: { error: { param: "n" } } },
      },
    ]);
    expect(answers[0]).toMatchObject({
      error: null,
      response: { status_code: 200, body: { object: "chat.completion" } },
    });
    const tokens = answers.map(({ response }) => usageSchema.parse(response?.body).usage);
    const sum = tokens.reduce((total, usage) => total + usage.total_tokens, 0);
    expect(batch.usage?.total_tokens).toBe(sum);
    const jobs = await redis.keys("hr:{*}:job:*");
    expect(jobs).toEqual([]);
    expect(await redis.keys("hr:{*}:batch-demand")).toEqual([]);
  });

  test.for([
    ["/v1/completions", { prompt: "Once" }, "text_completion"],
    ["/v1/embeddings", { input: "Once" }, "list"],
    ["/v1/responses", { input: "Once" }, "response"],
  ] as const)(
    "of %s is answered as that is",
    async ([url, body, kind], { model, create, whenEnded, read }) => {
      const batch = await whenEnded(await create([line("a", { model, ...body }, url)], url));

      expect(await read(batch.output_file_id)).toMatchObject([
        { custom_id: "a", response: { status_code: 200, body: { object: kind } } },
      ]);
    },
  );

  test("with a fault in its file is not run, and told the line", async ({
    model,
    create,
    whenEnded,
  }) => {
    const twice = line("a", chat(model, "Hi"));
    const duplicate = await whenEnded(await create([twice, twice]));
    const unknown = await whenEnded(await create([line("a", chat("nobody", "Hi"))]));

    expect(duplicate).toMatchObject({
      status: "failed",
      errors: { object: "list", data: [{ code: "duplicate_custom_id", line: 2 }] },
      output_file_id: null,
      error_file_id: null,
    });
    expect(unknown.errors?.data).toMatchObject([{ code: "model_not_found", line: 1 }]);
  });

  test("that is cancelled keeps what it has, and says what it has not", async ({
    openai,
    model,
    create,
    whenEnded,
    read,
  }) => {
    const lines = Array.from({ length: 3_000 }, (_, i) => line(i, chat(model, `Say ${i}.`)));
    const { id } = await create(lines);
    while ((await openai.batches.retrieve(id)).request_counts?.completed === 0) {
      await delay(LOOK_MS);
    }
    const cancelling = await openai.batches.cancel(id);

    const batch = await whenEnded(cancelling);

    expect(cancelling.status).toBe("cancelling");
    expect(batch.status).toBe("cancelled");
    const [answers, errors] = [await read(batch.output_file_id), await read(batch.error_file_id)];
    expect(answers.length).toBe(batch.request_counts?.completed);
    expect(answers.length).toBeGreaterThan(0);
    expect(errors.length).toBe(batch.request_counts?.failed);
    expect(new Set(idsOf([...answers, ...errors])).size).toBe(lines.length);
    expect(errors.at(-1)?.error?.code).toBe("batch_cancelled");
  });

  test("goes on where a killed batcher left off: each line once, none run again", async ({
    platform,
    redis,
    storage,
    batcher,
    openai,
    model,
    create,
    whenEnded,
    read,
  }) => {
    await batcher.stop();
    const before = await platform.engineCounts();
    const lines = Array.from({ length: 1_500 }, (_, i) => line(i, chat(model, `Say ${i}.`)));
    const { id } = await create(lines);
    let done = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const victim = await platform.startBatcher(storage);
      while (true) {
        const { request_counts: counts, status } = await openai.batches.retrieve(id);
        if ((counts?.completed ?? 0) > done || ENDS.has(status)) {
          done = counts?.completed ?? 0;
          break;
        }
        await delay(LOOK_MS);
      }
      await victim.kill();
      // Its lease would have to run out.
      await redis.zadd("hr:{batches}:open", "XX", 0, id);
    }
    const last = await platform.startBatcher(storage);

    const batch = await whenEnded(await openai.batches.retrieve(id));

    await last.stop();
    const after = await platform.engineCounts();
    expect(batch.request_counts).toEqual({ total: 1_500, completed: 1_500, failed: 0 });
    expect(idsOf(await read(batch.output_file_id))).toEqual(lines.map((_, i) => `${i}`).toSorted());
    expect(after.started - before.started).toBe(lines.length);
  });
});
