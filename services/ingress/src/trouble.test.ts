import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { findFreePort, RedisServer } from "@headrace/testkit";
import { describe, expect, onTestFinished, test as plainTest } from "vitest";

import { Ingress } from "./ingress.ts";
import { TestClient } from "./testing/client.ts";
import { readMetric } from "./testing/exposition.ts";
import { API_KEY, ingressTest, testConfig } from "./testing/ingress-test.ts";
import { LogRecorder } from "./testing/log-recorder.ts";
import { MODEL, SimulatedWorker } from "./testing/simulated-worker.ts";

const request = { model: MODEL, messages: [{ role: "user", content: "CANARY-PROMPT" }] };
const body = { endpoint: "/v1/chat/completions", request };
const response = { model: MODEL, input: "CANARY-PROMPT" };

/** What a request must never wait longer for than, ms. */
const PATIENCE_MS = 2_000;

async function startAll(): Promise<{
  redis: RedisServer;
  logs: LogRecorder;
  ingress: Ingress;
  client: TestClient;
  worker: SimulatedWorker;
}> {
  const redis = await RedisServer.start({ appendfsync: "always" });
  onTestFinished(() => redis.stop());
  const worker = await SimulatedWorker.start(redis.url);
  onTestFinished(() => worker.close());
  const logs = new LogRecorder();
  const ingress = await Ingress.start(testConfig(redis.url, logs));
  onTestFinished(() => ingress.close());
  return { redis, logs, ingress, client: new TestClient(ingress.port, API_KEY), worker };
}

async function timed<Value>(promise: Promise<Value>): Promise<readonly [Value, number]> {
  const startedAtMs = performance.now();
  const value = await promise;
  return [value, performance.now() - startedAtMs];
}

describe("without Redis", () => {
  plainTest("answers 503 in time, and recovers by itself", { timeout: 30_000 }, async () => {
    const { redis, client, worker, logs } = await startAll();
    const id = await client.submit();
    await redis.kill();
    const calls: readonly (readonly [string, string, object])[] = [
      ["POST", "/v1/jobs", { body }],
      ["POST", "/v1/chat/completions", { body: request }],
      ["POST", "/v1/chat/completions", { body: { ...request, stream: true } }],
      ["POST", "/v1/responses", { body: response }],
      ["POST", "/v1/responses", { body: { ...response, background: true, stream: true } }],
      ["GET", `/v1/responses/${id.replace("job_", "resp_")}`, {}],
      ["GET", `/v1/jobs/${id}`, {}],
      ["GET", `/v1/jobs/${id}/events`, {}],
      ["POST", `/v1/jobs/${id}/cancel`, {}],
      ["GET", "/v1/jobs", {}],
      ["GET", "/readyz", {}],
    ];
    const answers = await Promise.all(
      calls.map(([method, path, options]) => timed(client.call(method, path, options))),
    );

    for (const [answer, tookMs] of answers) {
      expect(answer).toMatchObject({ status: 503, body: { error: { code: "queue_unavailable" } } });
      expect(answer.headers.get("retry-after")).toBe("1");
      expect(tookMs).toBeLessThan(PATIENCE_MS);
    }
    expect((await client.call("GET", "/healthz")).status).toBe(200);

    await redis.restart();
    await expect
      .poll(async () => (await client.call("GET", "/readyz")).status, { timeout: 5_000 })
      .toBe(200);
    const run = await worker.next();
    await run.complete();

    expect(run.attempt.job).toBe(id);
    expect((await client.call("POST", "/v1/jobs", { body })).status).toBe(202);
    expect(logs.text).not.toContain("CANARY");
  });

  plainTest("answers 503 in time when Redis hangs", { timeout: 30_000 }, async () => {
    const { redis, client } = await startAll();
    redis.signal("SIGSTOP");
    const [answer, tookMs] = await timed(client.call("POST", "/v1/jobs", { body }));
    const [ready] = await timed(client.call("GET", "/readyz"));
    redis.signal("SIGCONT");

    expect([answer.status, ready.status]).toEqual([503, 503]);
    expect(tookMs).toBeLessThan(PATIENCE_MS);
    await expect
      .poll(async () => (await client.call("POST", "/v1/jobs", { body })).status, {
        timeout: 5_000,
      })
      .toBe(202);
  });

  plainTest("goes on with a stream where it stood", { timeout: 30_000 }, async () => {
    const { redis, client, worker } = await startAll();
    const id = await client.submit();
    const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
    const run = await worker.next();
    run.say("a");
    const before = [await reader.next(), await reader.next(), await reader.next()];
    await redis.kill();
    run.say("b");
    await redis.restart();
    run.say("c");
    await run.complete();
    const after = await reader.rest();
    const text = [...before, ...after].flatMap((event) =>
      event?.event === "output.delta" ? JSON.parse(event.data).choices[0].delta.content : [],
    );

    expect(text.join("")).toBe("abc");
    expect(after.at(-1)?.event).toBe("job.completed");
  });

  plainTest(
    "cancels the jobs of callers who hung up meanwhile, once it is back",
    { timeout: 15_000 },
    async () => {
      const { redis, client, ingress, worker } = await startAll();
      const streamed = { ...request, stream: true };
      const answers = [1, 2].map(() =>
        client.stream("POST", "/v1/chat/completions", { body: streamed }),
      );
      const runs = [await worker.next(), await worker.next()];
      for (const run of runs) run.say("Hello");
      const readers = await Promise.all(answers);
      for (const reader of readers) await reader.next();
      await redis.kill();
      for (const reader of readers) reader.hangUp();
      await expect.poll(() => readMetric(ingress, "headrace_open_streams")).toBe(0);
      await redis.restart();
      await Promise.all(runs.map(({ lost }) => lost));
      const list = await client.call("GET", "/v1/jobs?status=cancelled");

      expect(list.body["data"]).toHaveLength(2);
    },
  );

  plainTest("starts, serves 503, and serves once Redis comes", { timeout: 30_000 }, async () => {
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    await redis.kill();
    const ingress = await Ingress.start(testConfig(redis.url, new LogRecorder()));
    onTestFinished(() => ingress.close());
    const client = new TestClient(ingress.port, API_KEY);
    const before = await client.call("GET", "/readyz");
    await redis.restart();

    expect(before.status).toBe(503);
    await expect
      .poll(async () => (await client.call("GET", "/readyz")).status, { timeout: 5_000 })
      .toBe(200);
  });
});

describe("readiness", () => {
  plainTest("says why jobs are not taken in, and nothing of where Redis is", async () => {
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    const logs = new LogRecorder();
    const config = testConfig(redis.url, logs);
    const ingress = await Ingress.start({ ...config, durability: "replicated" });
    onTestFinished(() => ingress.close());
    const client = new TestClient(ingress.port, API_KEY);
    const lonely = await client.call("GET", "/readyz");
    await redis.kill();
    const gone = await client.call("GET", "/readyz");
    const operator = await fetch(`http://127.0.0.1:${ingress.operationsPort}/readyz`);

    expect([lonely.body, gone.body]).toMatchObject([
      {
        error: {
          message:
            "not ready to take jobs in: HEADRACE_DURABILITY is replicated, but no replica is connected to Redis",
        },
      },
      { error: { message: "not ready to take jobs in: Redis cannot be reached" } },
    ]);
    expect(await operator.text()).toContain(`Redis cannot be reached: no Redis at 127.0.0.1`);
    expect(logs.lines.map(({ message }) => message)).toContain(
      "no replica confirms jobs: submits are refused",
    );
  });
});

describe("a start that cannot be", () => {
  plainTest("is refused with a Redis that evicts keys", async () => {
    const redis = await RedisServer.start({ "maxmemory-policy": "allkeys-lru" });
    onTestFinished(() => redis.stop());

    await expect(Ingress.start(testConfig(redis.url, new LogRecorder()))).rejects.toThrow(
      "maxmemory-policy allkeys-lru",
    );
  });

  ingressTest("names the port that is taken", async ({ ingress, redisServer, logs }) => {
    const config = testConfig(redisServer.url, logs);

    await expect(Ingress.start({ ...config, port: ingress.port })).rejects.toThrow(
      `port ${ingress.port} of 127.0.0.1 is taken; set INGRESS_PORT to another`,
    );
    await expect(
      Ingress.start({ ...config, operationsPort: ingress.operationsPort }),
    ).rejects.toThrow("set INGRESS_OPERATIONS_PORT to another");
  });
});

describe("a process that stops", () => {
  ingressTest("sends readers away and lets calls finish", async ({ ingress, client, worker }) => {
    const id = await client.submit();
    const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
    const poll = client.call("GET", `/v1/jobs/${id}?wait=60`);
    await worker.next();
    const call = client.call("POST", "/v1/chat/completions", { body: request });
    const run = await worker.next();
    const closed = ingress.close();
    const events = await reader.rest();
    run.say("Hello");
    await run.complete();

    expect(events.at(-1)?.event).not.toBe("job.completed");
    expect((await poll).body).toMatchObject({ status: "in_progress" });
    expect((await call).status).toBe(200);
    await closed;
    await expect(client.call("GET", "/healthz")).rejects.toThrow("fetch failed");
  });

  ingressTest("cancels what has not finished in time", async ({ ingress, client, worker }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: request });
    const run = await worker.next();
    await ingress.close();

    expect(await answer).toMatchObject({
      status: 503,
      body: { error: { code: "queue_unavailable" } },
    });
    await expect(run.lost).resolves.toBe("cancelled");
  });

  ingressTest(
    "ends its event loop on SIGTERM",
    { timeout: 15_000 },
    async ({ redisServer, worker }) => {
      const [port, operationsPort] = [await findFreePort(), await findFreePort()];
      const main = fileURLToPath(new URL("main.ts", import.meta.url));
      const child = spawn(process.execPath, [main], {
        stdio: ["ignore", "pipe", "inherit"],
        env: {
          HEADRACE_API_KEY: API_KEY,
          REDIS_URL: redisServer.url,
          INGRESS_PORT: String(port),
          INGRESS_OPERATIONS_PORT: String(operationsPort),
          LOG_LEVEL: "debug",
        },
      });
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
      await expect.poll(() => output, { timeout: 10_000 }).toContain("listening");
      const client = new TestClient(port, API_KEY);
      const id = await client.submit({}, "CANARY-PROMPT");
      const reader = await client.stream("GET", `/v1/jobs/${id}/events`);
      await worker.next();
      child.kill("SIGTERM");
      const [code] = await once(child, "exit");
      await reader.rest();

      expect(code).toBe(0);
      expect(output).toContain(`"port":${port},"operationsPort":${operationsPort}`);
      expect(output).toContain("request answered");
      expect(output).not.toMatch(/CANARY|hr_test/);
    },
  );
});

describe("too many streams", () => {
  ingressTest("are refused", async ({ redisServer, logs, client }) => {
    const config = { ...testConfig(redisServer.url, logs), maxStreams: 1 };
    const ingress = await Ingress.start(config);
    onTestFinished(() => ingress.close());
    const full = new TestClient(ingress.port, API_KEY);
    const id = await client.submit();
    const first = await full.stream("GET", `/v1/jobs/${id}/events`);
    const second = await full.call("GET", `/v1/jobs/${id}/events`);
    const call = await full.call("POST", "/v1/chat/completions", { body: request });
    const patient = await full.call("POST", "/v1/jobs", { body, headers: { prefer: "wait=9" } });
    const list = await client.call("GET", "/v1/jobs");

    expect([second.status, call.status]).toEqual([503, 503]);
    expect(second.headers.get("retry-after")).toBe("1");
    // Accepted is accepted, though nobody can wait with it.
    expect(patient.status).toBe(202);
    expect(patient.headers.get("preference-applied")).toBeNull();
    expect(list.body["data"]).toHaveLength(2);
    first.hangUp();
  });
});

describe("what is logged", () => {
  ingressTest("never holds a prompt, an output or a key", async ({ client, worker, logs }) => {
    const call = client.call("POST", "/v1/chat/completions", { body: request });
    const run = await worker.next();
    run.write({ type: "delta", data: '["CANARY-OUTPUT"]' });
    const answer = await call;
    await client.call("POST", "/v1/jobs", { body: { ...body, priority: "CANARY-PRIORITY" } });
    await client.call("GET", "/v1/jobs?model=CANARY-QUERY", {
      headers: { authorization: "Bearer CANARY-KEY" },
    });

    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain("CANARY");
    expect(logs.text).toContain("request answered");
    expect(logs.text).not.toMatch(/CANARY|hr_test/);
    expect(logs.lines.map(({ message }) => message)).toContain(
      "a job's log holds what cannot be read",
    );
  });
});
