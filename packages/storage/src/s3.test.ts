import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

import { test as base, describe, expect, vi } from "vitest";

import { openObjects } from "./open.ts";
import { textOf } from "./testing/bodies.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

const OBJECT = { etag: '"one"', "content-length": "10" };

function answerNothing(_request: IncomingMessage, response: ServerResponse): unknown {
  return response.end();
}

/** A server that answers what a test has it answer, and counts the requests by their methods. */
const test = base
  .extend("server", async ({}, { onCleanup }) => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "key");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    let answer: Answer = answerNothing;
    const calls: string[] = [];
    const server = createServer((request, response) => {
      request.resume().once("end", () => {
        calls.push(request.method ?? "");
        answer(request, response);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onCleanup(() => {
      vi.unstubAllEnvs();
      server.closeAllConnections();
      server.close();
    });
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return { port, calls, answerWith: (next: Answer) => void (answer = next) };
  })
  .extend("objects", async ({ server }) =>
    openObjects(`s3://bucket?endpoint=http://127.0.0.1:${server.port}&force_path_style=true`),
  );

function fault(status: number, code: string): Answer {
  return (_request, response) => {
    response.writeHead(status, { "content-type": "application/xml" });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
  };
}

describe("S3 that refuses", () => {
  test.for([
    [403, "QuotaExceeded", "storage_full", "no room"],
    [507, "InsufficientStorage", "storage_full", "no room"],
    [507, "Whatever", "storage_full", "no room"],
    [404, "NoSuchBucket", "storage_unavailable", "no such bucket: make it"],
    [403, "AccessDenied", "storage_unavailable", "allow s3:GetObject"],
    [403, "InvalidAccessKeyId", "storage_unavailable", "set AWS_ACCESS_KEY_ID"],
    [403, "RequestTimeTooSkewed", "storage_unavailable", "clock is wrong"],
    [301, "PermanentRedirect", "storage_unavailable", "set region in STORAGE_URL"],
    [403, "Whatever", "storage_unavailable", "access is denied"],
    [400, "Whatever", "storage_unavailable", "(Whatever)"],
  ] as const)(
    "with %d %s is told as what it is",
    async ([status, name, code, words], { objects, server }) => {
      server.answerWith(fault(status, name));

      await expect(objects.put("a", Buffer.from("x"))).rejects.toMatchObject({
        code,
        message: expect.stringContaining(words),
      });
    },
  );

  test("for now is asked four times", { timeout: 30_000 }, async ({ objects, server }) => {
    server.answerWith(fault(500, "InternalError"));
    server.calls.length = 0;

    await expect(objects.delete("a")).rejects.toMatchObject({ code: "storage_unavailable" });
    expect(server.calls).toEqual(["DELETE", "DELETE", "DELETE", "DELETE"]);
  });

  test("to decide between two who store is asked again", async ({ objects, server }) => {
    let conflicts = 2;
    server.answerWith((request, response) => {
      if (request.method === "HEAD") return response.writeHead(404).end();
      if (conflicts === 0) return response.end();
      conflicts -= 1;
      return fault(409, "ConditionalRequestConflict")(request, response);
    });

    expect(await objects.put("a", Buffer.from("x"), { ifAbsent: true })).toMatchObject({
      sizeBytes: 1,
    });
    conflicts = 100;
    await expect(objects.put("a", Buffer.from("x"), { ifAbsent: true })).rejects.toMatchObject({
      code: "storage_unavailable",
    });
  });
});

describe("a download from S3", () => {
  test("is given up when its connection breaks again and again", async ({ objects, server }) => {
    server.answerWith((request, response) => {
      if (request.method === "HEAD") return response.writeHead(200, OBJECT).end();
      response.writeHead(200, OBJECT).flushHeaders();
      return setImmediate(() => response.destroy());
    });
    const { body } = await objects.read("a");
    server.calls.length = 0;

    await expect(textOf(body)).rejects.toMatchObject({ code: "storage_unavailable" });
    expect(server.calls).toEqual(["GET", "GET", "GET", "GET"]);
  });

  test("goes on from the byte where it broke", async ({ objects, server }) => {
    const ranges: (string | undefined)[] = [];
    server.answerWith((request, response) => {
      if (request.method === "HEAD") return response.writeHead(200, OBJECT).end();
      const { range } = request.headers;
      ranges.push(range);
      const start = Number(/^bytes=(\d+)-/.exec(range ?? "bytes=0-")?.[1]);
      response.writeHead(206, { ...OBJECT, "content-length": String(10 - start) });
      response.write("0123456789".slice(start, start + 4));
      return setTimeout(() => response.destroy(), 20);
    });
    const { body } = await objects.read("a");

    expect(await textOf(body)).toBe("0123456789");
    expect(ranges).toEqual([undefined, "bytes=4-9", "bytes=8-9"]);
  });

  test("whose sum is another is none", async ({ objects, server }) => {
    server.answerWith((request, response) => {
      if (request.method === "HEAD") return response.writeHead(200, OBJECT).end();
      response.writeHead(200, { etag: OBJECT.etag, "x-amz-checksum-sha256": "AAAA" });
      response.write("0123456789");
      // By then all of it has been read, and only its end is missing.
      return setTimeout(() => response.end(), 50);
    });
    const { body } = await objects.read("a");

    await expect(textOf(body)).rejects.toMatchObject({ code: "storage_unavailable" });
  });
});
