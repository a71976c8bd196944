import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { writeTokenIds } from "@headrace/broker";
import { describe, expect, onTestFinished } from "vitest";

import { Ingress } from "./ingress.ts";
import { readMetric } from "./testing/exposition.ts";
import { hangUpDuring } from "./testing/hang-up.ts";
import { API_KEY, ingressTest as test, testConfig } from "./testing/ingress-test.ts";
import type { SseEvent } from "./testing/sse-reader.ts";
import { USAGE } from "./testing/simulated-worker.ts";

const seen = (events: readonly SseEvent[]): (string | null)[][] =>
  events.map(({ id, event }) => [id, event]);

const textOf = (events: readonly SseEvent[]): string =>
  events
    .filter(({ event }) => event === "output.delta")
    .map(({ data }) => JSON.parse(data).choices[0].delta.content)
    .join("");

describe("GET /v1/jobs/{id}/events", () => {
  test("tells a job's whole life, then ends", async ({ client, worker }) => {
    const id = await client.submit();
    const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
    const run = await worker.next();
    run.say("Hello");
    run.say(" world");
    await run.complete();

    const events = await reader.rest();

    expect(reader.response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(reader.response.headers.get("x-accel-buffering")).toBe("no");
    expect(reader.response.headers.get("cache-control")).toBe("no-store");
    expect(seen(events)).toEqual([
      [null, "job.queued"],
      ["1-0", "attempt.started"],
      ["1-1", "output.delta"],
      ["1-2", "output.delta"],
      ["1-3", "job.completed"],
    ]);
    expect(textOf(events)).toBe("Hello world");
    expect(events.map(({ event, data }) => JSON.parse(data).type === event)).not.toContain(false);
    expect(JSON.parse(events[0]?.data ?? "")).toMatchObject({ job: id, queue_position: 0 });
    expect(JSON.parse(events[1]?.data ?? "")).toEqual({
      type: "attempt.started",
      epoch: 1,
      reason: "first",
      from: 0,
      reset: false,
    });
    expect(JSON.parse(events[4]?.data ?? "")).toMatchObject({
      job: id,
      usage: USAGE,
      latency: { job: id, attempts: 1 },
    });
  });

  test("resumes from every cursor without gap or repeat, live and ended", async ({
    client,
    worker,
  }) => {
    const id = await client.submit();
    const run = await worker.next();
    for (const text of ["a", "b", "c"]) run.say(text);
    const cursors = ["0-0", "1-0", "1-1", "1-2", "1-3"];
    const live = await Promise.all(
      cursors.map((cursor) =>
        client.stream("GET", `/v1/jobs/${id}/events?starting_after=${cursor}`),
      ),
    );
    for (const text of ["d", "e"]) run.say(text);
    await run.complete();
    const texts = await Promise.all(live.map(async (reader) => textOf(await reader.rest())));
    const replays = await Promise.all(
      [...cursors, "1-4", "1-5"].map(async (cursor) => {
        const headers = { "last-event-id": cursor };
        const reader = await client.stream("GET", `/v1/jobs/${id}/events`, { headers });
        return textOf(await reader.rest());
      }),
    );

    expect(texts).toEqual(["abcde", "abcde", "bcde", "cde", "de"]);
    expect(replays).toEqual(["abcde", "abcde", "bcde", "cde", "de", "e", ""]);
  });

  test("lets the header win over the query: the reader has it newer", async ({
    client,
    worker,
  }) => {
    const id = await client.submit();
    const run = await worker.next();
    run.say("a");
    run.say("b");
    await run.complete();
    const reader = await client.stream("GET", `/v1/jobs/${id}/events?starting_after=1-0`, {
      headers: { "last-event-id": "1-1" },
    });

    expect(textOf(await reader.rest())).toBe("b");
  });

  test("tells a reader that has the end not to come again", async ({ client, worker }) => {
    const id = await client.submit();
    const run = await worker.next();
    await run.complete();
    const answer = await client.call("GET", `/v1/jobs/${id}/events?starting_after=1-1`);

    expect(answer.status).toBe(204);
    expect(answer.text).toBe("");
  });

  test("voids what a reader has that the log lost", async ({ client, worker }) => {
    const id = await client.submit();
    const run = await worker.next();
    run.say("a");
    const reader = await client.stream("GET", `/v1/jobs/${id}/events?starting_after=7-9`);
    await run.complete();
    const [started, ...rest] = await reader.rest();

    expect(JSON.parse(started?.data ?? "")).toMatchObject({ type: "attempt.started", reset: true });
    expect(textOf(rest)).toBe("a");
  });

  test("announces a new attempt's reset, also to a reader that comes back", async ({
    client,
    worker,
  }) => {
    const id = await client.submit({ on_retry: "reset" });
    const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
    const first = await worker.next();
    first.say("void");
    const before = [await reader.next(), await reader.next(), await reader.next()];
    await first.release();
    const second = await worker.next();
    second.say("valid");
    await second.complete();
    const events = await reader.rest();
    const late = await client.stream("GET", `/v1/jobs/${id}/events?starting_after=1-1`);

    expect(before.at(-1)?.data).toContain("void");
    expect(JSON.parse(events[0]?.data ?? "")).toMatchObject({
      type: "attempt.started",
      epoch: 2,
      reason: "engine_error",
      reset: true,
    });
    expect(textOf(events)).toBe("valid");
    expect(await late.rest()).toEqual(events);
    expect((await client.call("GET", `/v1/jobs/${id}`)).body).toMatchObject({
      attempts: 2,
      result: { choices: [{ message: { content: "valid" } }] },
    });
  });

  test("goes on over attempts, from every cursor", async ({ client, worker }) => {
    const id = await client.submit();
    const reader = await client.stream("GET", `/v1/jobs/${id}/events?starting_after=0-0`);
    const first = await worker.next();
    first.say("a", writeTokenIds([1], { prompt: [7] }));
    first.say("b", writeTokenIds([2], null));
    await first.release();
    const second = await worker.next();
    second.say("c", writeTokenIds([3], { position: 2 }));
    await second.complete();
    const events = await reader.rest();
    const cursors = events.map((event) => event.id).filter((cursor) => cursor !== null);
    const rests = await Promise.all(
      cursors.slice(0, -1).map(async (cursor) => {
        const late = await client.stream("GET", `/v1/jobs/${id}/events?starting_after=${cursor}`);
        return seen(await late.rest());
      }),
    );

    expect(textOf(events)).toBe("abc");
    expect(JSON.parse(events.find((event) => event.id === "2-0")?.data ?? "")).toEqual({
      type: "attempt.started",
      epoch: 2,
      reason: "engine_error",
      from: 2,
      reset: false,
    });
    const all = seen(events.filter((event) => event.id !== null));
    expect(rests).toEqual(cursors.slice(0, -1).map((_cursor, at) => all.slice(at + 1)));
  });

  test("carries embeddings whole", async ({ client, worker }) => {
    const data = [{ object: "embedding", index: 0, embedding: [0.5, -1] }];
    const id = await client.submit({
      endpoint: "/v1/embeddings",
      request: { model: "acme/test-model", input: "a" },
    });
    const run = await worker.next();
    run.write({ type: "vectors", data: JSON.stringify(data) });
    await run.complete();
    const reader = await client.stream("GET", `/v1/jobs/${id}/events?starting_after=1-0`);

    expect(JSON.parse((await reader.next())?.data ?? "")).toEqual({ type: "output.delta", data });
    reader.hangUp();
  });

  test("hold nothing for a reader who hung up before they began", async ({
    client,
    ingress,
    redisServer,
  }) => {
    const id = await client.submit();
    redisServer.signal("SIGSTOP");
    await hangUpDuring(ingress, { method: "GET", path: `/v1/jobs/${id}/events` });
    redisServer.signal("SIGCONT");

    await expect.poll(() => readMetric(ingress, "llm_active_requests")).toBe(0);
    await expect(readMetric(ingress, "headrace_open_streams")).resolves.toBe(0);
  });

  test.for([
    { how: "cancelled", code: undefined },
    { how: "failed", code: "engine_failed" },
    // The sweep comes by every 5 s.
    { how: "expired", code: "deadline_exceeded" },
  ])(
    "ends with how the job ended: $how",
    { timeout: 15_000 },
    async ({ how, code }, { client, worker }) => {
      const id = await client.submit(how === "expired" ? { deadline_seconds: 1 } : {});
      const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
      if (how === "cancelled") await client.call("POST", `/v1/jobs/${id}/cancel`);
      if (how === "failed") {
        const run = await worker.next();
        await run.fail({
          message: "boom",
          type: "server_error",
          param: null,
          code: "engine_failed",
        });
      }
      const last = (await reader.rest()).at(-1);

      expect(last?.event).toBe(`job.${how}`);
      expect(JSON.parse(last?.data ?? "").error?.code).toBe(code);
    },
  );

  test("keeps an idle stream alive with comments", async ({ client }) => {
    const id = await client.submit();
    const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
    await reader.next();

    expect(await reader.nextOfAny()).toMatchObject({ isComment: true, data: "heartbeat" });
    expect(await reader.nextOfAny()).toMatchObject({ isComment: true });
    reader.hangUp();
  });

  test("ends when the job is deleted under the reader", async ({ client, worker, redis }) => {
    const id = await client.submit();
    const run = await worker.next();
    run.say("a");
    const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
    await reader.next();
    await reader.next();
    await redis.del(...(await redis.keys(`*:job:${id}`)), ...(await redis.keys(`*:log:${id}`)));

    await expect(reader.rest()).resolves.toEqual([]);
  });

  test("forgets a job of retention 0 once its end is delivered", async ({ client, worker }) => {
    const id = await client.submit({ retention_seconds: 0 });
    const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
    const run = await worker.next();
    await run.complete();
    const last = (await reader.rest()).at(-1);

    expect(last?.event).toBe("job.completed");
    await expect.poll(async () => (await client.call("GET", `/v1/jobs/${id}`)).status).toBe(404);
  });
});

const CHUNK = "x".repeat(4_096);
const CHUNKS = 8_192;
const CHUNKS_AT_ONCE = 32;
/** What the process may hold more while a reader leaves 32 MB unread; the sockets take a part. */
const HELD_BYTES = 8_388_608;

describe("a slow reader", () => {
  test("gets everything once it reads on", async ({ redisServer, logs, client, worker }) => {
    const ingress = await Ingress.start({
      ...testConfig(redisServer.url, logs),
      patience: { drainMs: 60_000 },
    });
    onTestFinished(() => ingress.close());
    const id = await client.submit();
    const socket = await openStream(ingress.port, id);
    socket.pause();
    const beforeBytes = heapBytes();
    await writeMuch(worker);
    const heldBytes = heapBytes() - beforeBytes;
    let sizeBytes = 0;
    let tail = "";
    socket.on("data", (chunk: Buffer) => {
      sizeBytes += chunk.length;
      tail = (tail + chunk.toString("latin1")).slice(-2_000);
      if (tail.includes("event: job.completed")) socket.destroy();
    });
    socket.resume();
    await once(socket, "close");

    expect(heldBytes).toBeLessThan(HELD_BYTES);
    expect(tail).toContain(`id: 1-${CHUNKS + 1}\nevent: job.completed`);
    expect(sizeBytes).toBeGreaterThan(CHUNKS * CHUNK.length);
  }, 20_000);

  test("is disconnected when it takes nothing for too long", async ({
    client,
    ingress,
    worker,
  }) => {
    const id = await client.submit();
    const socket = await openStream(ingress.port, id);
    socket.pause();
    await expect.poll(() => readMetric(ingress, "headrace_open_streams")).toBe(1);
    await writeMuch(worker);

    await expect
      .poll(() => readMetric(ingress, "headrace_open_streams"), { timeout: 5_000 })
      .toBe(0);
    socket.destroy();
  }, 20_000);
});

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** The heap that is in use, once what is not has been collected. */
function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Follow a job on a socket that the test may leave unread. */
async function openStream(port: number, job: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.write(
    `GET /v1/jobs/${job}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\n\r\n`,
  );
  await once(socket, "data");
  return socket;
}

/** Complete a job of 32 MB: more than the sockets on the way to a reader hold. */
async function writeMuch(worker: {
  next: () => Promise<{ say: (text: string) => void; complete: () => Promise<void> }>;
}): Promise<void> {
  const run = await worker.next();
  for (let count = 0; count < CHUNKS; count += 1) {
    run.say(CHUNK);
    // As an engine does, a little at a time: what comes at once is written at once.
    if (count % CHUNKS_AT_ONCE === 0) await delay(1);
  }
  await run.complete();
}
