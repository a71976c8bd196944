import type { ServerResponse } from "node:http";

import { newBatchId, newFileId, type Batch, type FileObject } from "@headrace/contract";
import { describe, expect } from "vitest";

import { HeadraceError } from "./error.ts";
import { serverTest as test } from "./test-server.ts";

const FILE: FileObject = {
  id: newFileId(),
  object: "file",
  bytes: 3,
  created_at: 1,
  expires_at: null,
  filename: "a.jsonl",
  purpose: "batch",
  status: "processed",
  status_details: null,
};
const BATCH: Batch = {
  id: newBatchId(),
  object: "batch",
  endpoint: "/v1/completions",
  model: null,
  errors: null,
  input_file_id: FILE.id,
  completion_window: "24h",
  status: "completed",
  output_file_id: null,
  error_file_id: null,
  created_at: 1,
  in_progress_at: null,
  expires_at: 2,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: { total: 0, completed: 0, failed: 0 },
  usage: null,
  metadata: null,
  progress: {
    tokens: 0,
    tokens_per_second: null,
    lines_per_second: null,
    eta_seconds: null,
    cost: null,
    bottleneck: null,
    waiting_for: null,
  },
};

function json(response: ServerResponse, body: object, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (const piece of ["one\r\n--", "", "two"]) yield new TextEncoder().encode(piece);
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode("one");
  throw new Error("the disk is gone");
}

describe("files", () => {
  test("are uploaded as a form, once", async ({ server }) => {
    const bodies: string[] = [];
    server.answers.push((_request, response, body) => {
      bodies.push(body);
      json(response, FILE);
    });
    const made = await server.client().files.upload({
      content: new Blob(["one"]),
      filename: "a.jsonl",
      expiresAfter: { anchor: "created_at", seconds: 3_600 },
    });

    expect(made).toEqual(FILE);
    expect(server.requests[0]?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
    expect(bodies[0]).toContain('name="file"; filename="a.jsonl"');
    expect(bodies[0]).toContain('name="expires_after[seconds]"');
    expect(bodies[0]).toContain("\r\n\r\none\r\n");
  });

  test("are sent as they come, whatever they and their names hold", async ({ server }) => {
    const bodies: string[] = [];
    server.answers.push((_request, response, body) => {
      bodies.push(body);
      json(response, FILE);
    });
    const filename = 'a"\r\n.jsonl';
    await server.client().files.upload({ content: pieces(), filename });

    expect(server.requests[0]?.headers).toMatchObject({ "transfer-encoding": "chunked" });
    const type = server.requests[0]?.headers["content-type"] ?? "";
    const form = await new Response(bodies[0] ?? "", {
      headers: { "content-type": type },
    }).formData();
    expect(form.get("purpose")).toBe("batch");
    const file = form.get("file");
    expect(file instanceof File && [file.name, await file.text()]).toEqual([
      filename,
      "one\r\n--two",
    ]);
  });

  test("whose source fails are not taken for whole", async ({ server }) => {
    server.answers.push((_request, response) => json(response, FILE));
    const upload = server.client().files.upload({ content: broken(), filename: "a" });

    await expect(upload).rejects.toMatchObject({ code: "connection_failed" });
    await expect(upload).rejects.toThrow("the disk is gone");
  });

  test("that were not taken in are not sent again unasked", async ({ server }) => {
    const error = { message: "no", type: "server_error", param: null, code: "queue_unavailable" };
    server.answers.push((_request, response) => json(response, { error }, 503));
    const upload = server.client().files.upload({ content: new Blob(["one"]), filename: "a" });

    await expect(upload).rejects.toMatchObject({ code: "queue_unavailable" });
    expect(server.requests).toHaveLength(1);
  });

  test("are read as they come, from where an earlier read broke off", async ({ server }) => {
    server.answers.push((_request, response) => {
      response.writeHead(206);
      response.write("two");
      response.end("three");
    });
    let text = "";
    for await (const chunk of server.client().files.content(FILE.id, { from: 3 })) {
      text += new TextDecoder().decode(chunk);
    }

    expect(text).toBe("twothree");
    expect(server.requests[0]?.headers.range).toBe("bytes=3-");
  });

  test("that break off say so", async ({ server }) => {
    server.answers.push((_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("some", () => response.destroy());
    });
    const read = async (): Promise<void> => {
      for await (const chunk of server.client().files.content(FILE.id)) expect(chunk).toBeTruthy();
    };

    await expect(read()).rejects.toBeInstanceOf(HeadraceError);
  });
});

describe("batches", () => {
  test("are made under a key, so that a repeated call makes no second", async ({ server }) => {
    const error = { message: "no", type: "server_error", param: null, code: "queue_unavailable" };
    server.answers.push(
      (_request, response) => json(response, { error }, 503),
      (_request, response) => json(response, BATCH),
    );
    const made = await server.client().batches.create({
      input_file_id: FILE.id,
      endpoint: "/v1/completions",
      completion_window: "24h",
    });

    const [first, second] = server.requests.map(({ headers }) => headers["idempotency-key"]);
    expect(made).toEqual(BATCH);
    expect(second).toBe(first);
    expect(first).toBeTruthy();
  });

  test("are watched through an outage that tries of one call do not outlast", async ({
    server,
  }) => {
    const error = { message: "no", type: "server_error", param: null, code: "queue_unavailable" };
    const refusals = Array.from(
      { length: 12 },
      () => (_request: unknown, response: ServerResponse) => json(response, { error }, 503),
    );
    server.answers.push(...refusals, (_request, response) => json(response, BATCH));
    const watching = server.client({ timing: { outageMs: 5_000 } }).batches.watch(BATCH.id);
    const seen: string[] = [];
    for await (const { status } of watching) seen.push(status);

    expect(seen).toEqual(["completed"]);
    expect(server.requests).toHaveLength(13);
  });

  test("that have ended are watched no longer", async ({ server }) => {
    server.answers.push((_request, response) => json(response, BATCH));
    const seen: string[] = [];
    for await (const { status } of server.client().batches.watch(BATCH.id)) seen.push(status);

    expect(seen).toEqual(["completed"]);
    expect(server.requests[0]?.url).toBe(`/v1/batches/${BATCH.id}`);
  });
});
