import { once } from "node:events";

import { describe, expect } from "vitest";

import { Ingress, type IngressConfig } from "./ingress.ts";
import { readMetric } from "./testing/exposition.ts";
import { API_KEY, ingressTest, testConfig } from "./testing/ingress-test.ts";
import { RawConnection, type RawAnswer } from "./testing/raw-connection.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const key = `authorization: Bearer ${API_KEY}\r\n`;
const json = "content-type: application/json\r\n";

const test = ingressTest.extend(
  "strict",
  async ({ redisServer, worker: _registered, logs }, { onCleanup }) => {
    const opened: Ingress[] = [];
    onCleanup(async () => {
      for (const ingress of opened) await ingress.close();
    });
    return async (limits: IngressConfig["connectionLimits"] = {}): Promise<Ingress> => {
      const connectionLimits = { headMs: 300, requestMs: 600, drainMs: 300, lookMs: 50, ...limits };
      const config = { ...testConfig(redisServer.url, logs), connectionLimits };
      const ingress = await Ingress.start(config);
      opened.push(ingress);
      return ingress;
    };
  },
);

/** Send bytes on a connection of their own, and read until the server closes it. */
async function send(port: number, text: string): Promise<RawAnswer> {
  const connection = await RawConnection.open(port);
  connection.write(text);
  return connection.whenClosed();
}

const post = (headers: string, body = "", path = "/v1/jobs"): string =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\n${key}${json}${headers}\r\n${body}`;

/** What two servers in a row might read as different requests. */
const SMUGGLED: readonly (readonly [string, string])[] = [
  [
    "a length and chunks",
    post("content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\nG"),
  ],
  [
    "chunks and a length",
    post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\nG"),
  ],
  ["two lengths", post("content-length: 5\r\ncontent-length: 6\r\n", "hello!")],
  ["a list of lengths", post("content-length: 5, 6\r\n", "hello!")],
  ["a signed length", post("content-length: +5\r\n", "hello")],
  ["a length in hex", post("content-length: 0x5\r\n", "hello")],
  ["an endless length", post(`content-length: ${"9".repeat(30)}\r\n`, "hello")],
  ["an unknown coding", post("transfer-encoding: xchunked\r\n", "0\r\n\r\n")],
  ["chunks that are not last", post("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n")],
  ["a space before the colon", post("content-length : 5\r\n", "hello")],
  ["a folded header", post("x-a: b\r\n c\r\n", "")],
  ["a header without a name", post(": b\r\n", "")],
  ["a bare return in a header", post("x-a: b\rc: d\r\n", "")],
  ["a zero byte in a header", post("x-a: b\0c\r\n", "")],
  ["a chunk of no size", post("transfer-encoding: chunked\r\n", "x\r\nhello\r\n0\r\n\r\n")],
  [
    "a chunk longer than it says",
    post("transfer-encoding: chunked\r\n", "2\r\nhello\r\n0\r\n\r\n"),
  ],
  ["an unknown method", "SMUGGLE /v1/jobs HTTP/1.1\r\nhost: x\r\n\r\n"],
  ["an unknown version", "GET /healthz HTTP/9.9\r\nhost: x\r\n\r\n"],
  ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
];

describe("a request that can be read in two ways", () => {
  test.for(SMUGGLED)(
    "is refused with its connection: %s",
    async ([, text], { ingress, client }) => {
      const after = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
      const answer = await send(ingress.port, text + after);
      const list = await client.call("GET", "/v1/jobs");

      expect(answer.status).toBe(400);
      expect(answer.text).toContain('"code":"request_invalid"');
      // One answer, and the connection is closed: what followed was never read as a request.
      expect(answer.text.match(/HTTP\/1.1 \d/g)).toHaveLength(1);
      expect(list.body["data"]).toEqual([]);
    },
  );

  test("is refused without a host", async ({ ingress }) => {
    const answer = await send(ingress.port, "GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n");

    expect(answer.status).toBe(400);
    expect(answer.text).toContain('"param":"host"');
  });
});

describe("a head that is too large", () => {
  test("is refused by its headers' size", async ({ ingress }) => {
    const answer = await send(ingress.port, `GET / HTTP/1.1\r\nx-a: ${"a".repeat(20_000)}\r\n\r\n`);

    expect(answer.status).toBe(431);
    expect(answer.text).toContain('"code":"head_too_large"');
  });

  test("is refused by their number, none of them passed over", async ({ client }) => {
    const many = await client.call("GET", "/healthz", { headers: headersOf(100) });
    const some = await client.call("GET", "/healthz", { headers: headersOf(80) });

    expect(many.status).toBe(431);
    expect(many.body).toMatchObject({ error: { code: "head_too_large" } });
    expect(some.status).toBe(200);
  });

  test.for(["/healthz?", "/v1/jobs?model=", "/v1/models/", "/nothing/"])(
    "is refused by the length of its address: %s",
    async (path, { client }) => {
      const answer = await client.call("GET", path + "x".repeat(5_000));

      expect(answer.status).toBe(414);
      expect(answer.body).toMatchObject({ error: { code: "url_too_long" } });
    },
  );

  test("may hold a query of many fields, which are refused one by one", async ({ client }) => {
    const query = Array.from({ length: 500 }, (_, at) => `a${at}=1`).join("&");
    const answer = await client.call("GET", `/v1/jobs?${query}`);

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param: "a0" } });
  });
});

test("an expectation that nobody has heard of is refused in the shape of all errors", async ({
  strict,
}) => {
  const { port } = await strict();

  const { status, text } = await send(
    port,
    post("expect: nonsense\r\ncontent-length: 2\r\n", "{}"),
  );

  expect(status).toBe(417);
  expect(text).toContain('"code":"expectation_failed"');
  expect(text).toMatch(/x-request-id: req_/);
  expect(text).toContain("x-content-type-options: nosniff");
});

describe("a caller that takes its time", () => {
  test("with the head is refused", async ({ strict }) => {
    const { port } = await strict();
    const connection = await RawConnection.open(port);
    connection.write("GET /healthz HTTP/1.1\r\nhost: x\r\n");
    // A byte now and then does not help.
    const drip = setInterval(() => connection.write("x"), 50);
    const answer = await connection.whenClosed();
    clearInterval(drip);

    expect(answer.status).toBe(408);
    expect(answer.text).toContain('"code":"request_invalid"');
  });

  test("with the body is refused, and nothing is queued", async ({ strict, client }) => {
    const { port } = await strict();
    const connection = await RawConnection.open(port);
    connection.write(post("content-length: 1000\r\n", '{"endpoint":'));
    const drip = setInterval(() => connection.write(" "), 50);
    const answer = await connection.whenClosed();
    clearInterval(drip);
    const list = await client.call("GET", "/v1/jobs");

    expect(answer.status).toBe(408);
    expect(list.body["data"]).toEqual([]);
  });

  test("with a large answer is disconnected", async ({ strict, client, worker }) => {
    const ingress = await strict();
    const id = await client.submit();
    const run = await worker.next();
    for (let piece = 0; piece < 12; piece += 1) run.say("x".repeat(1_000_000));
    await run.complete();
    const connection = await RawConnection.open(ingress.port);
    connection.socket.pause();
    connection.write(`GET /v1/jobs/${id} HTTP/1.1\r\nhost: x\r\n${key}\r\n`);
    await expect.poll(() => connectionsOf(ingress)).toBe(1);
    await expect.poll(() => connectionsOf(ingress), { timeout: 15_000 }).toBe(0);
    connection.socket.resume();
    const { text } = await connection.whenClosed();

    expect(text.length).toBeLessThan(12_000_000);
  }, 20_000);

  test("with a large answer loses nothing of what it asked for ahead", async ({
    strict,
    client,
    worker,
  }) => {
    const ingress = await strict({ requestMs: 10_000 });
    const id = await client.submit();
    const large = await worker.next();
    for (let piece = 0; piece < 12; piece += 1) large.say("x".repeat(1_000_000));
    await large.complete();
    const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hi" }] });
    const connection = await RawConnection.open(ingress.port);
    connection.write(
      `GET /v1/jobs/${id} HTTP/1.1\r\nhost: x\r\n${key}\r\n` +
        post(
          `content-length: ${body.length}\r\nconnection: close\r\n`,
          body,
          "/v1/chat/completions",
        ),
    );
    const run = await worker.next();
    await expect.poll(() => connection.text.length).toBeGreaterThan(12_000_000);
    // Longer than the large answer's rest could have stayed untaken.
    await new Promise((resolve) => setTimeout(resolve, 700));
    run.say("Hello");
    await run.complete();
    const { text } = await connection.whenClosed();

    expect(text.slice(12_000_000)).toContain("Hello");
  }, 20_000);

  test("may take it between requests", async ({ strict }) => {
    const { port } = await strict();
    const connection = await RawConnection.open(port);
    connection.write("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(connection.socket, "data");
    await new Promise((resolve) => setTimeout(resolve, 900));
    connection.write("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const { text } = await connection.whenClosed();

    expect(text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2);
  });
});

describe("a caller that sends too much", () => {
  test.for([
    ["without a key", "", 401],
    ["to no route", key, 404],
    ["to a page", "", 405],
  ] as const)("%s is answered, then disconnected", async ([, headers, status], { ingress }) => {
    const path = status === 404 ? "/nothing" : status === 405 ? "/healthz" : "/v1/jobs";
    const connection = await RawConnection.open(ingress.port);
    connection.write(
      `POST ${path} HTTP/1.1\r\nhost: x\r\n${headers}${json}content-length: 1000000000\r\n\r\n`,
    );
    await once(connection.socket, "data");
    const piece = "x".repeat(100_000);
    let sentBytes = 0;
    while (!connection.socket.destroyed && sentBytes < 1_000_000_000) {
      sentBytes += piece.length;
      if (!connection.socket.write(piece)) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const answer = await connection.whenClosed();

    expect(answer.status).toBe(status);
    // 600,000 bytes are the limit, 8 times that is dropped, and the rest is on its way.
    expect(sentBytes).toBeLessThan(60_000_000);
  });

  test("opens no more connections than are allowed, and that is counted", async ({ strict }) => {
    const ingress = await strict({ connections: 3 });
    const held = [1, 2, 3].map(() => RawConnection.open(ingress.port));
    const first = await Promise.all(held);
    await expect.poll(() => connectionsOf(ingress)).toBe(3);
    const extra = await RawConnection.open(ingress.port);
    const { text } = await extra.whenClosed();
    first[0]?.socket.destroy();
    await expect.poll(() => connectionsOf(ingress)).toBe(2);
    const answer = await send(
      ingress.port,
      "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    for (const { socket } of first) socket.destroy();

    expect(text).toBe("");
    expect(answer.status).toBe(200);
    await expect(readMetric(ingress, "headrace_connections_dropped_total")).resolves.toBe(1);
  });

  test("ahead of its answers is read no further than it reads", async ({ ingress }) => {
    const connection = await RawConnection.open(ingress.port);
    connection.socket.pause();
    const request = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n";
    const many = 20_000;
    connection.write(request.repeat(many));
    const served = (): Promise<number | undefined> =>
      readMetric(ingress, 'llm_requests_total{endpoint="/openapi.json",status="200"}');
    let before: number | undefined = -1;
    await expect
      .poll(
        async () => {
          const last = before;
          before = await served();
          return before === last;
        },
        { interval: 200, timeout: 4_000 },
      )
      .toBe(true);
    connection.socket.destroy();

    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(many / 10);
  });

  test("ahead of an answer is answered in order", async ({ ingress, worker }) => {
    const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hi" }] });
    const connection = await RawConnection.open(ingress.port);
    connection.write(
      post(`content-length: ${body.length}\r\n`, body, "/v1/chat/completions") +
        "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    const run = await worker.next();
    run.say("Hello");
    await run.complete();
    const { text } = await connection.whenClosed();

    expect(text).toMatch(/Hello[^]*"status":"ok"/);
  });
});

function headersOf(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, "1"]));
}

/** Connections open to the API's port, as the process itself counts them. */
async function connectionsOf(ingress: Ingress): Promise<number | undefined> {
  return readMetric(ingress, "headrace_open_connections");
}
