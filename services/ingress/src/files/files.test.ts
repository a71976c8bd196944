import { readdir, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { fileListSchema, fileSchema, newFileId, type FileObject } from "@headrace/contract";
import { describe, expect, vi } from "vitest";

import { Ingress } from "../ingress.ts";
import { TestClient } from "../testing/client.ts";
import { API_KEY, ingressTest, testConfig } from "../testing/ingress-test.ts";

/** As `testConfig` has it. */
const LIMIT_BYTES = 1_000_000;
const BOUNDARY = "----boundary";

const test = ingressTest
  .extend("post", async ({ client }) => async (body: FormData | string, type?: string) => {
    const response = await fetch(`${client.base}/v1/files`, {
      method: "POST",
      headers: { ...client.authorization, ...(type === undefined ? {} : { "content-type": type }) },
      body,
    });
    const text = await response.text();
    return { status: response.status, text, body: JSON.parse(text) };
  })
  .extend("upload", async ({ post }) => async (content: string, name = "prompts.jsonl") => {
    const answer = await post(formOf(content, name));
    return fileSchema.parse(answer.body);
  });

function formOf(
  content: string | Blob,
  name: string,
  fields: Record<string, string> = {},
): FormData {
  const form = new FormData();
  // OpenAI's SDK sends fields in the order in which its caller wrote them: the file first, often.
  form.set("file", content instanceof Blob ? content : new Blob([content]), name);
  for (const [field, value] of Object.entries({ purpose: "batch", ...fields })) {
    form.set(field, value);
  }
  return form;
}

const part = (disposition: string, content: string): string =>
  `--${BOUNDARY}\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
const PURPOSE = part('name="purpose"', "batch");
const FILE = part('name="file"; filename="a.jsonl"', "{}");
const END = `--${BOUNDARY}--\r\n`;
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

describe("an upload", () => {
  test("is a file once all of it is stored", async ({ post, client, storageFolder }) => {
    const { status, body } = await post(formOf("one\ntwo\n", "prompts.jsonl"));

    expect(status).toBe(200);
    const file = fileSchema.parse(body);
    expect(file).toMatchObject({ bytes: 8, filename: "prompts.jsonl", purpose: "batch" });
    expect((file.expires_at ?? 0) - file.created_at).toBe(30 * 24 * 3_600);
    expect((await client.call("GET", `/v1/files/${file.id}`)).body).toEqual(body);
    expect(await readFile(join(storageFolder, "files", file.id), "utf8")).toBe("one\ntwo\n");
  });

  test("says how long it is kept, as OpenAI's SDK writes that", async ({ post }) => {
    const fields = { "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600" };
    const file: FileObject = (await post(formOf("x", "a", fields))).body;

    expect((file.expires_at ?? 0) - file.created_at).toBe(3_600);
  });

  test.for([
    ["a purpose of another kind", { purpose: "fine-tune" }, "purpose"],
    ["too short a life", life("3599"), "expires_after[seconds]"],
    ["too long a life", life("2592001"), "expires_after[seconds]"],
    ["half a life", { "expires_after[seconds]": "3600" }, null],
    ["an unknown field", { colour: "blue" }, "colour"],
    ["a field that is too long", { purpose: "x".repeat(2_000) }, "purpose"],
  ] as const)(
    "is refused with %s, and nothing is left of it",
    async ([, fields, param], { post, storageFolder, redis }) => {
      const { status, body } = await post(formOf("x", "a", fields));

      expect(status).toBe(400);
      expect(body).toMatchObject({ error: { code: "request_invalid", param } });
      await expectNothingLeft(storageFolder, redis);
    },
  );

  test.for([
    ["has no end", PURPOSE + FILE],
    ["breaks off in its file", `${PURPOSE}${FILE.slice(0, -3)}`],
    ["breaks off in a head", `${PURPOSE}--${BOUNDARY}\r\ncontent-dis`],
    ["has no file", PURPOSE + END],
    ["has a file that is a field", PURPOSE + part('name="file"', "{}") + END],
    ["has two files", PURPOSE + FILE + FILE + END],
    ["has a file of another name", `${PURPOSE}${part('name="picture"; filename="a"', "x")}${END}`],
    [
      "has many fields",
      Array.from({ length: 20 }, (_, at) => part(`name="f${at}"`, "x")).join("") + END,
    ],
    ["is empty", ""],
    ["is something else", '{"purpose":"batch"}'],
  ] as const)(
    "that %s is refused, and nothing is left of it",
    async ([, body], { post, storageFolder, redis }) => {
      const answer = await post(body, TYPE);

      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({ error: { code: "request_invalid" } });
      await expectNothingLeft(storageFolder, redis);
    },
  );

  test.for(["application/json", "multipart/form-data", "multipart/mixed; boundary=a"])(
    "of the type %s is none",
    async (type, { post }) => {
      const answer = await post(PURPOSE + FILE + END, type);

      expect([400, 415]).toContain(answer.status);
    },
  );

  test("over the limit is refused by its length, and by what comes of it", async ({
    post,
    client,
    storageFolder,
    redis,
  }) => {
    const large = "x".repeat(LIMIT_BYTES + 1);
    const declared = await post(formOf(large + large, "a"));
    const chunked = await fetch(`${client.base}/v1/files`, {
      method: "POST",
      headers: { ...client.authorization, "content-type": TYPE },
      body: new Blob([PURPOSE, part('name="file"; filename="a"', large), END]).stream(),
      duplex: "half",
    });

    expect(declared.status).toBe(413);
    expect(declared.body).toMatchObject({
      error: {
        code: "request_too_large",
        message: "the file is over 1000000 bytes",
        param: "file",
      },
    });
    expect(chunked.status).toBe(413);
    await chunked.text();
    await expectNothingLeft(storageFolder, redis);
    expect((await post(formOf("x".repeat(LIMIT_BYTES), "a"))).status).toBe(200);
  });

  test("that its sender leaves is forgotten", async ({ ingress, storageFolder, redis }) => {
    const socket = connect(ingress.port, "127.0.0.1");
    const head = `POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: ${TYPE}\r\ncontent-length: 5000\r\n\r\n`;
    socket.write(head + PURPOSE + FILE.slice(0, -2));
    await vi.waitFor(async () => expect(await redis.zcard("hr:{batches}:removals")).toBe(1));
    socket.destroy();

    await expectNothingLeft(storageFolder, redis);
  });

  test("may take longer than any other request, as long as some of it comes", async ({
    redisServer,
    redis,
    storageFolder,
    worker: _registered,
    logs,
    objects,
  }) => {
    const config = testConfig(redisServer.url, logs);
    const ingress = await Ingress.start({
      ...config,
      objects,
      connectionLimits: { requestMs: 200 },
      patience: { ...config.patience, uploadIdleMs: 200 },
    });
    const pieces = [PURPOSE, FILE.slice(0, -4), FILE.slice(-4), END];
    const send = async (path: string, type: string, count: number): Promise<string> => {
      const { promise, resolve } = Promise.withResolvers<string>();
      const socket = connect(ingress.port, "127.0.0.1");
      let text = "";
      socket.on("data", (data) => (text += data.toString()));
      for (const event of ["close", "error"]) socket.on(event, () => resolve(text));
      const { length } = pieces.join("");
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`,
      );
      for (const piece of pieces.slice(0, count)) {
        await delay(100); // a slow line is what is tested
        if (!socket.destroyed) socket.write(piece);
      }
      return promise;
    };
    const answers = await Promise.all([
      send("/v1/files", TYPE, 4),
      send("/v1/files", TYPE, 2),
      send("/v1/jobs", "application/json", 4),
    ]);
    await vi.waitFor(async () => expect(await redis.zcard("hr:{batches}:removals")).toBe(0));
    await ingress.close();

    expect(answers.map((text) => text.slice(0, 12))).toEqual([
      "HTTP/1.1 200",
      "HTTP/1.1 408",
      "HTTP/1.1 408",
    ]);
    expect(await filesIn(join(storageFolder, "files"))).toHaveLength(1);
  });

  test("fails as storage does, and is written down to be removed", async ({
    post,
    storageFolder,
    redis,
  }) => {
    await rm(storageFolder, { recursive: true });
    const { status, body } = await post(formOf("x".repeat(500_000), "a"));

    expect(status).toBe(503);
    expect(body).toMatchObject({ error: { code: "storage_unavailable" } });
    // Storage that is away does not say whether it has it.
    expect(await redis.zcard("hr:{batches}:removals")).toBe(1);
    expect(await redis.keys("hr:{batches}:file*")).toEqual([]);
  });

  test("needs storage", async ({ redisServer, logs, worker: _registered }) => {
    const config = { ...testConfig(redisServer.url, logs), objects: null };
    const ingress = await Ingress.start(config);
    const client = new TestClient(ingress.port, API_KEY);
    const answer = await fetch(`${client.base}/v1/files`, {
      method: "POST",
      headers: client.authorization,
      body: formOf("x", "a"),
    });
    const body: unknown = await answer.json();
    await ingress.close();

    expect(answer.status).toBe(501);
    expect(body).toMatchObject({
      error: { code: "storage_unconfigured", message: expect.stringContaining("STORAGE_URL") },
    });
  });

  test("is one of six that a tenant may have under way", async ({ ingress, post, redis }) => {
    const head = `POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: ${TYPE}\r\ncontent-length: 5000\r\n\r\n${PURPOSE}`;
    const sockets = Array.from({ length: 6 }, () => connect(ingress.port, "127.0.0.1"));
    for (const socket of sockets) socket.write(head);
    await vi.waitFor(async () => expect(await redis.zcard("hr:{batches}:removals")).toBe(6));
    const seventh = await post(formOf("x", "a"));
    for (const socket of sockets) socket.destroy();

    expect(seventh.status).toBe(429);
    expect(seventh.body).toMatchObject({ error: { code: "share_exceeded" } });
    await vi.waitFor(async () => expect((await post(formOf("x", "a"))).status).toBe(200));
  });
});

describe("a file", () => {
  test("is read whole, and in parts", async ({ client, upload }) => {
    const { id } = await upload("0123456789", 'a "b" ü.jsonl');
    const read = async (range?: string): Promise<unknown[]> => {
      const headers = range === undefined ? {} : { range };
      const answer = await client.call("GET", `/v1/files/${id}/content`, { headers });
      return [answer.status, answer.text, answer.headers.get("content-range")];
    };
    const whole = await client.call("GET", `/v1/files/${id}/content`);

    expect(whole).toMatchObject({ status: 200, text: "0123456789" });
    expect(whole.headers.get("content-disposition")).toContain("attachment; filename=");
    expect(whole.headers.get("content-length")).toBe("10");
    expect(await read("bytes=2-4")).toEqual([206, "234", "bytes 2-4/10"]);
    expect(await read("bytes=8-")).toEqual([206, "89", "bytes 8-9/10"]);
    expect(await read("bytes=-3")).toEqual([206, "789", "bytes 7-9/10"]);
    expect(await read("bytes=5-900")).toEqual([206, "56789", "bytes 5-9/10"]);
    for (const none of ["bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=a-b"]) {
      expect(await read(none)).toEqual([200, "0123456789", null]);
    }
    expect((await read("bytes=10-"))[0]).toBe(416);
  });

  test("that is empty is one", async ({ client, upload }) => {
    const { id, bytes } = await upload("");
    const answer = await client.call("GET", `/v1/files/${id}/content`, {
      headers: { range: "bytes=0-5" },
    });

    expect(bytes).toBe(0);
    expect(answer).toMatchObject({ status: 200, text: "" });
  });

  test("keeps its name, and no path of it", async ({ upload }) => {
    expect((await upload("x", "../../etc/passwd")).filename).toBe("passwd");
    expect((await upload("x", "C:\\files\\a.jsonl")).filename).toBe("a.jsonl");
    expect((await upload("x", "名前.jsonl")).filename).toBe("名前.jsonl");
  });

  test("is deleted with its bytes", async ({ client, upload, storageFolder, redis }) => {
    const { id } = await upload("x");
    const answer = await client.call("DELETE", `/v1/files/${id}`);

    expect(answer).toMatchObject({ status: 200, body: { id, object: "file", deleted: true } });
    expect((await client.call("GET", `/v1/files/${id}/content`)).status).toBe(404);
    expect((await client.call("DELETE", `/v1/files/${id}`)).status).toBe(404);
    await expectNothingLeft(storageFolder, redis);
  });

  test("is listed, in pages, by age", async ({ client, upload }) => {
    const [first, second] = [await upload("1"), await upload("2")];
    const list = async (query: string): Promise<string[]> => {
      const { body } = await client.call("GET", `/v1/files${query}`);
      return fileListSchema.parse(body).data.map(({ id }) => id);
    };

    expect(await list("")).toEqual([second.id, first.id]);
    expect(await list("?order=asc&limit=1")).toEqual([first.id]);
    expect(await list(`?after=${second.id}`)).toEqual([first.id]);
    expect(await list("?purpose=batch_output")).toEqual([]);
    expect((await client.call("GET", `/v1/files?after=${newFileId()}`)).status).toBe(404);
    expect((await client.call("GET", "/v1/files?limit=0")).status).toBe(400);
  });
});

function life(seconds: string): Record<string, string> {
  return { "expires_after[anchor]": "created_at", "expires_after[seconds]": seconds };
}

async function expectNothingLeft(
  storageFolder: string,
  redis: { zcard: (key: string) => Promise<number>; keys: (pattern: string) => Promise<string[]> },
): Promise<void> {
  await vi.waitFor(async () => {
    expect(await filesIn(join(storageFolder, "files"))).toEqual([]);
    expect(await filesIn(join(storageFolder, ".unfinished"))).toEqual([]);
    expect(await redis.zcard("hr:{batches}:removals")).toBe(0);
    expect(await redis.keys("hr:{batches}:file*")).toEqual([]);
  });
}

async function filesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}
