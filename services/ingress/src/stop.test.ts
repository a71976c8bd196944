import { describe, expect } from "vitest";

import { Ingress, type IngressConfig } from "./ingress.ts";
import { TestClient } from "./testing/client.ts";
import { FilterServer } from "./testing/filter-server.ts";
import { API_KEY, ingressTest, testConfig } from "./testing/ingress-test.ts";
import { RawConnection } from "./testing/raw-connection.ts";
import { MODEL } from "./testing/simulated-worker.ts";

const key = `authorization: Bearer ${API_KEY}\r\n`;
const chat = { model: MODEL, messages: [{ role: "user", content: "Hi" }] };

/** As `ingressTest`, with processes that a test stops itself. */
const test = ingressTest.extend(
  "start",
  async ({ redisServer, worker: _registered, logs }, { onCleanup }) => {
    const started: Ingress[] = [];
    onCleanup(async () => {
      for (const ingress of started) await ingress.close();
    });
    return async (options: Partial<IngressConfig> = {}): Promise<Ingress> => {
      const ingress = await Ingress.start({ ...testConfig(redisServer.url, logs), ...options });
      started.push(ingress);
      return ingress;
    };
  },
);

const UNFILTERED = {
  url: null,
  token: null,
  modulePath: null,
  timeoutMs: 2_000,
  passesOnFailure: false,
};

const clientOf = ({ port }: Ingress): TestClient => new TestClient(port, API_KEY);

describe("a process that is told to stop", () => {
  test("sends readers of a job away whole, to come back elsewhere", async ({
    start,
    client,
    worker,
  }) => {
    const ingress = await start();
    const id = await client.submit();
    const run = await worker.next();
    run.say("Hello");
    const reader = await RawConnection.open(ingress.port);
    reader.write(`GET /v1/jobs/${id}/events HTTP/1.1\r\nhost: x\r\n${key}\r\n`);
    await expect.poll(() => reader.text).toContain("Hello");
    await ingress.close();
    const { text } = await reader.whenClosed();

    // The last chunk is whole, and so is the stream of chunks: nothing was cut.
    expect(text).toMatch(
      /\n\n\r\n[0-9a-f]+\r\n: this server is stopping\nretry: \d{3}\n\n\r\n0\r\n\r\n$/,
    );
    const [, lastId = ""] = /id: (\S+)\nevent: output.delta/.exec(text) ?? [];
    const again = await client.stream("GET", `/v1/jobs/${id}/events`, {
      headers: { "last-event-id": lastId },
    });
    await run.complete();
    expect((await again.rest()).map(({ event }) => event)).toEqual(["job.completed"]);
  });

  test("sends readers on who come while it waits for others", async ({ start, client, worker }) => {
    const ingress = await start({ patience: { graceMs: 5_000 } });
    const id = await client.submit();
    await worker.next();
    const call = clientOf(ingress).call("POST", "/v1/chat/completions", { body: chat });
    const run = await worker.next();
    const early = await RawConnection.open(ingress.port);
    const get = `GET /v1/jobs/${id}/events HTTP/1.1\r\nhost: x\r\n${key}\r\n`;
    early.write(get);
    await expect.poll(() => early.text).toContain("attempt.started");
    const closed = ingress.close();
    await expect.poll(() => early.text).toContain("retry:");
    // On the connection that it has, as a browser would.
    early.write(get);
    const { text } = await early.whenClosed();
    await run.complete();
    await closed;

    expect(text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2);
    expect(text.split("HTTP/1.1 200 OK")[2]).toMatch(
      /connection: close[^]*\nretry: \d{3}\n\n\r\n0\r\n\r\n$/,
    );
    expect((await call).status).toBe(200);
  });

  test("sends readers of a response away in the same way", async ({ start, client, worker }) => {
    const ingress = await start();
    const body = { model: MODEL, input: "Hi", background: true };
    const { id } = (await client.call("POST", "/v1/responses", { body })).body;
    const run = await worker.next();
    run.say("Hello");
    const reader = await RawConnection.open(ingress.port);
    reader.write(`GET /v1/responses/${String(id)}?stream=true HTTP/1.1\r\nhost: x\r\n${key}\r\n`);
    await expect.poll(() => reader.text).toContain("Hello");
    await ingress.close();
    const { text } = await reader.whenClosed();
    await run.complete();

    expect(text).toMatch(
      /\n\n\r\n[0-9a-f]+\r\n: this server is stopping\nretry: \d{3}\n\n\r\n0\r\n\r\n$/,
    );
  });

  test("is unready first, and serves on meanwhile", async ({ start, worker }) => {
    const ingress = await start({ unreadyMs: 600 });
    const client = clientOf(ingress);
    const before = await client.call("GET", "/readyz");
    const closed = ingress.close();
    const ready = await client.call("GET", "/readyz");
    const operations = await fetch(`http://127.0.0.1:${ingress.operationsPort}/readyz`);
    const [answer] = await Promise.all([
      client.call("POST", "/v1/chat/completions", { body: chat }),
      worker.next().then((run) => {
        run.say("Hello");
        return run.complete();
      }),
    ]);
    await closed;

    expect([before.status, ready.status, operations.status]).toEqual([200, 503, 503]);
    expect(ready.text).toContain("this server is stopping");
    expect(answer.status).toBe(200);
    expect(before.headers.get("connection")).toBe("keep-alive");
    // Whoever calls next opens another connection, which the balancer takes elsewhere.
    expect(answer.headers.get("connection")).toBe("close");
    await expect(client.call("GET", "/healthz")).rejects.toThrow("fetch failed");
  });

  test("lets a whole answer that is under way come, and closes its connection", async ({
    start,
    worker,
  }) => {
    const ingress = await start({ patience: { graceMs: 3_000 } });
    const body = JSON.stringify(chat);
    const caller = await RawConnection.open(ingress.port);
    caller.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${key}content-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    const run = await worker.next();
    const closed = ingress.close();
    run.say("Hello");
    await run.complete();
    const { status, text } = await caller.whenClosed();
    await closed;

    expect(status).toBe(200);
    expect(text).toMatch(/connection: close\r\n[^]*Hello/i);
  });

  test("takes in what it had begun to look into", async ({ start, worker }) => {
    const filter = await FilterServer.start();
    const asked = Promise.withResolvers<void>();
    filter.answer = (response) => {
      asked.resolve();
      setTimeout(() => response.end('{"action":"allow"}'), 1_300);
    };
    const ingress = await start({
      contentFilter: { ...UNFILTERED, url: filter.url },
      patience: { graceMs: 3_000 },
    });
    const submitting = clientOf(ingress).submit();
    await asked.promise;
    await ingress.close();
    const id = await submitting;
    await filter.close();

    await expect(worker.next()).resolves.toMatchObject({ attempt: { job: id } });
  });

  test("waits for nobody who has asked for nothing", async ({ start }) => {
    const ingress = await start({ patience: { graceMs: 30_000 } });
    const silent = await RawConnection.open(ingress.port);
    const startedAtMs = performance.now();
    await ingress.close();
    await silent.whenClosed();

    expect(performance.now() - startedAtMs).toBeLessThan(3_000);
  });
});
