import { connect } from "node:net";

import { BatchDesk, objectOfFile, objectsOfBatch, outputFileId, Removals } from "@headrace/broker";
import {
  batchListSchema,
  batchSchema,
  fileSchema,
  newBatchId,
  newFileId,
} from "@headrace/contract";
import { describe, expect, vi } from "vitest";

import { TestClient, type Answer } from "../testing/client.ts";
import { API_KEY, ingressTest } from "../testing/ingress-test.ts";
import { makeKey } from "../testing/tenants.ts";

const test = ingressTest
  .extend("desk", async ({ redis }) => new BatchDesk(redis))
  .extend("input", async ({ client }) => {
    const form = new FormData();
    form.set("purpose", "batch");
    form.set("file", new Blob(["{}"]), "prompts.jsonl");
    const response = await fetch(`${client.base}/v1/files`, {
      method: "POST",
      headers: client.authorization,
      body: form,
    });
    return fileSchema.parse(await response.json()).id;
  })
  .extend(
    "create",
    async ({ client, input }) =>
      async (fields: object = {}, headers: Record<string, string> = {}): Promise<Answer> => {
        const body = {
          input_file_id: input,
          endpoint: "/v1/chat/completions",
          completion_window: "24h",
          ...fields,
        };
        return client.call("POST", "/v1/batches", { body, headers });
      },
  );

describe("a batch", () => {
  test("is made of a file, in OpenAI's shape", async ({ create, client, input }) => {
    const { status, body } = await create({
      metadata: { run: "1" },
      completion_window: "90m",
      output_expires_after: { anchor: "created_at", seconds: 3_600 },
    });

    expect(status).toBe(200);
    const batch = batchSchema.parse(body);
    expect(batch).toMatchObject({
      object: "batch",
      endpoint: "/v1/chat/completions",
      input_file_id: input,
      completion_window: "90m",
      status: "validating",
      errors: null,
      output_file_id: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      metadata: { run: "1" },
      progress: { waiting_for: "batcher" },
    });
    expect(batch.expires_at - batch.created_at).toBe(5_400);
    expect((await client.call("GET", `/v1/batches/${batch.id}`)).body).toEqual(body);
    expect((await client.call("DELETE", `/v1/files/${input}`)).status).toBe(409);
  });

  test.for([
    [{ completion_window: "8d" }, "completion_window"],
    [{ completion_window: "30s" }, "completion_window"],
    [{ completion_window: undefined }, "completion_window"],
    [{ endpoint: "/v1/moderations" }, "endpoint"],
    [{ input_file_id: 7 }, "input_file_id"],
    [{ metadata: { a: 1 } }, "metadata.a"],
    [{ metadata: { ["k".repeat(65)]: "v" } }, `metadata.${"k".repeat(65)}`],
    [
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, "v"])) },
      "metadata",
    ],
    [
      { output_expires_after: { anchor: "created_at", seconds: 3_599 } },
      "output_expires_after.seconds",
    ],
    [
      { output_expires_after: { anchor: "created_at", seconds: 2_592_001 } },
      "output_expires_after.seconds",
    ],
    [{ output_expires_after: { anchor: "now", seconds: 3_600 } }, "output_expires_after.anchor"],
    [{ colour: "blue" }, "colour"],
  ] as const)("is refused with %j", async ([fields, param], { create }) => {
    const { status, body } = await create(fields);

    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: "request_invalid", param } });
  });

  test.for([newFileId(), "file-abc", "../etc"])(
    "needs a file: %s is none",
    async (id, { create }) => {
      const { status, body } = await create({ input_file_id: id });

      expect(status).toBe(404);
      expect(body).toMatchObject({ error: { code: "file_not_found", param: "input_file_id" } });
    },
  );

  test("is made once under one Idempotency-Key", async ({ create }) => {
    const key = { "idempotency-key": "once" };
    const [first, again] = [await create({}, key), await create({}, key)];
    const other = await create({ completion_window: "1h" }, key);

    expect(again.body["id"]).toBe(first.body["id"]);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    expect(other).toMatchObject({ status: 422 });
  });

  test("is listed newest first, in pages", async ({ create, client }) => {
    const ids = [await create(), await create(), await create()].map(({ body }) => body["id"]);
    const page = batchListSchema.parse((await client.call("GET", "/v1/batches?limit=2")).body);
    const rest = await client.call("GET", `/v1/batches?after=${page.last_id}`);

    expect(page.data.map(({ id }) => id)).toEqual([ids[2], ids[1]]);
    expect(page).toMatchObject({ first_id: ids[2], last_id: ids[1], has_more: true });
    expect(batchListSchema.parse(rest.body).data.map(({ id }) => id)).toEqual([ids[0]]);
    expect((await client.call("GET", `/v1/batches?after=${newBatchId()}`)).status).toBe(404);
  });

  test("is cancelled, however often that is asked for", async ({ create, client, desk }) => {
    const id = String((await create()).body["id"]);
    const [first, again] = [
      await client.call("POST", `/v1/batches/${id}/cancel`),
      await client.call("POST", `/v1/batches/${id}/cancel`),
    ];
    const claimed = await desk.claim("batcher", 60_000);
    if (claimed !== null) await desk.finish(claimed, { status: "cancelled" });
    const late = await client.call("POST", `/v1/batches/${id}/cancel`);

    expect([first, again, late].map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(first.body["status"]).toBe("cancelling");
    expect(late.body["status"]).toBe("cancelled");
  });

  test("that failed says why, and is not cancelled", async ({ create, client, desk }) => {
    const id = String((await create()).body["id"]);
    const claimed = await desk.claim("batcher", 60_000);
    const errors = [{ code: "empty_file", line: null, message: "the file is empty", param: null }];
    if (claimed !== null) await desk.finish(claimed, { status: "failed", errors });
    const { body } = await client.call("GET", `/v1/batches/${id}`);

    expect(batchSchema.parse(body)).toMatchObject({
      status: "failed",
      errors: { object: "list", data: errors },
      progress: { waiting_for: null },
    });
    expect(body["failed_at"]).not.toBeNull();
    expect(await client.call("POST", `/v1/batches/${id}/cancel`)).toMatchObject({
      status: 409,
      body: { error: { code: "batch_not_cancellable" } },
    });
  });
});

describe("results", () => {
  test("are read before the end, and after it", async ({
    create,
    client,
    desk,
    objects,
    redis,
  }) => {
    const batch = batchSchema.parse((await create()).body);
    const claimed = await desk.claim("batcher", 60_000);
    if (claimed === null) throw new Error("there is nothing to claim");
    const { id } = claimed.batch;
    const read = (): Promise<Answer> => client.call("GET", `/v1/batches/${batch.id}/results`);
    const none = await read();
    await objects.put(`${objectsOfBatch(id)}segments/1-0`, Buffer.from("a\n"));
    await objects.put(`${objectsOfBatch(id)}segments/1-1`, Buffer.from("b\n"));
    await objects.put(`${objectsOfBatch(id)}segments/1-2`, Buffer.from("not yet\n"));
    await desk.write(claimed, { to: "in_progress", segments: ["segments/1-0", "segments/1-1"] });
    const some = await read();
    const [output, errors] = [outputFileId(claimed, "output"), outputFileId(claimed, "error")];
    await objects.put(objectOfFile(output), Buffer.from("a\n"));
    await objects.put(objectOfFile(errors), Buffer.from("b\n"));
    for (const file of [output, errors]) await new Removals(redis).plan(objectOfFile(file));
    await desk.write(claimed, { to: "finalizing" });
    const files = { output: { id: output, sizeBytes: 2 }, error: { id: errors, sizeBytes: 2 } };
    await desk.finish(claimed, { status: "completed", files });
    const all = await read();

    expect(none).toMatchObject({ status: 200, text: "" });
    expect(some).toMatchObject({ status: 200, text: "a\nb\n" });
    expect(some.headers.get("x-batch-status")).toBe("in_progress");
    expect(all).toMatchObject({ status: 200, text: "a\nb\n" });
    const content = await client.call("GET", `/v1/files/${output}/content`);
    expect(content.text).toBe("a\n");
    const shown = batchSchema.parse((await client.call("GET", `/v1/batches/${id}`)).body);
    expect(shown).toMatchObject({ output_file_id: output, error_file_id: errors });
  });

  test("are kept for nobody who does not take them", async ({ create, ingress, desk, objects }) => {
    await create();
    const claimed = await desk.claim("batcher", 60_000);
    if (claimed === null) throw new Error("there is nothing to claim");
    const { id } = claimed.batch;
    // More than the connection holds.
    await objects.put(`${objectsOfBatch(id)}1-0`, Buffer.alloc(48_000_000, "x\n"));
    await desk.write(claimed, { to: "in_progress", segments: ["1-0"] });
    // Open connections are what the operator sees of it.
    const operations = new TestClient(ingress.operationsPort, API_KEY);
    const countOpen = async (): Promise<number> => {
      const { text } = await operations.call("GET", "/metrics");
      return Number(/^headrace_open_connections(?:\{.*\})? (\d+)$/m.exec(text)?.[1]);
    };
    const before = await countOpen();
    const socket = connect(ingress.port, "127.0.0.1");
    socket.pause();
    socket.write(
      `GET /v1/batches/${id}/results HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\n\r\n`,
    );

    await vi.waitFor(async () => expect(await countOpen()).toBe(before + 1));
    await vi.waitFor(async () => expect(await countOpen()).toBe(before), 5_000);
    socket.destroy();
  });

  test("may be read by a key with limits, which is told of them", async ({ client, input }) => {
    const limits = { requests_per_minute: 60 };
    const made = await makeKey(client, { tenant: "default", name: "limited", limits });
    const body = { input_file_id: input, endpoint: "/v1/completions", completion_window: "1h" };
    const batch = await made.client.call("POST", "/v1/batches", { body });
    const list = await made.client.call("GET", "/v1/files");

    for (const { status, headers } of [batch, list]) {
      expect(status).toBe(200);
      expect(headers.get("x-ratelimit-limit-requests")).toBe("60");
      expect(headers.get("x-ratelimit-remaining-requests")).toBe("60");
    }
  });
});
