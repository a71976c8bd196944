import { RedisServer } from "@headrace/testkit";
import { expect, onTestFinished, test } from "vitest";

import { Ingress } from "./ingress.ts";
import { TestClient } from "./testing/client.ts";
import { readMetric } from "./testing/exposition.ts";
import { API_KEY, testConfig } from "./testing/ingress-test.ts";
import { LogRecorder } from "./testing/log-recorder.ts";
import { MODEL, SimulatedWorker } from "./testing/simulated-worker.ts";

const request = { model: MODEL, messages: [{ role: "user", content: "x".repeat(100_000) }] };
const body = { endpoint: "/v1/chat/completions", request };
/** More than fill the server. */
const MOST_JOBS = 500;

test("A full queue refuses every kind of submit, and takes jobs again once there is room", async () => {
  const redis = await RedisServer.start({ maxmemory: "16mb" });
  onTestFinished(() => redis.stop());
  const worker = await SimulatedWorker.start(redis.url);
  onTestFinished(() => worker.close());
  const ingress = await Ingress.start({
    ...testConfig(redis.url, new LogRecorder()),
    tenantShare: 1,
  });
  onTestFinished(() => ingress.close());
  const client = new TestClient(ingress.port, API_KEY);
  const ids: string[] = [];
  let refusal = await client.call("POST", "/v1/jobs", { body });
  while (refusal.status === 202 && ids.length < MOST_JOBS) {
    ids.push(String(refusal.body["id"]));
    refusal = await client.call("POST", "/v1/jobs", { body });
  }
  const [whole, streamed] = await Promise.all([
    client.call("POST", "/v1/chat/completions", { body: request }),
    client.call("POST", "/v1/chat/completions", { body: { ...request, stream: true } }),
  ]);

  for (const answer of [refusal, whole, streamed]) {
    expect(answer).toMatchObject({ status: 503, body: { error: { code: "queue_full" } } });
    expect(answer.headers.get("retry-after")).toBe("10");
  }
  const fullness = await readMetric(ingress, "headrace_redis_memory_ratio");
  expect(fullness).toBeGreaterThan(0.6);
  expect(fullness).toBeLessThan(0.8);
  expect(await readMetric(ingress, 'llm_errors_total{code="queue_full"}')).toBe(3);

  const run = await worker.next();
  run.say("still here");
  await run.complete();
  const finished = await client.call("GET", `/v1/jobs/${run.attempt.job}`);
  for (const id of ids) {
    await client.call("POST", `/v1/jobs/${id}/cancel`);
    await client.call("DELETE", `/v1/jobs/${id}`);
  }

  expect(finished.body).toMatchObject({ status: "completed" });
  await expect
    .poll(async () => (await client.call("POST", "/v1/jobs", { body })).status, { timeout: 5_000 })
    .toBe(202);
});
