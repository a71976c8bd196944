import { RedisServer } from "@headrace/testkit";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";

import { Ingress } from "./ingress.ts";
import { TestClient, type Answer } from "./testing/client.ts";
import { readMetric } from "./testing/exposition.ts";
import { API_KEY, testConfig } from "./testing/ingress-test.ts";
import { LogRecorder } from "./testing/log-recorder.ts";
import { MODEL, SimulatedWorker } from "./testing/simulated-worker.ts";
import { makeKey } from "./testing/tenants.ts";

const MEBIBYTE = 1_048_576;
const DAY_SECONDS = 24 * 3_600;
/** What fills the server many times over. */
const MOST_JOBS = 200;
const REFUSED = { error: z.object({ code: z.literal("share_exceeded") }) };
const LARGE = bodyOf("x".repeat(7 * MEBIBYTE));
const SMALL = bodyOf("hello");

function bodyOf(content: string): string {
  const request = { model: MODEL, messages: [{ role: "user", content }] };
  const endpoint = "/v1/chat/completions";
  return JSON.stringify({ endpoint, request, retention_seconds: 30 * DAY_SECONDS });
}

async function submit(client: TestClient, body: string): Promise<Answer> {
  return client.call("POST", "/v1/jobs", { body, headers: { "content-type": "application/json" } });
}

/** Submit large jobs and end each without a result, until one is refused. @returns the refusal */
async function flood(client: TestClient): Promise<Answer> {
  for (let count = 0; count < MOST_JOBS; count += 1) {
    const answer = await submit(client, LARGE);
    if (answer.status !== 202) return answer;
    await client.call("POST", `/v1/jobs/${String(answer.body["id"])}/cancel`);
  }
  throw new Error(`${MOST_JOBS} jobs of 7 MiB were taken in`);
}

test(
  "A tenant that fills Redis with ended jobs is refused, and every other tenant is let in",
  { timeout: 60_000 },
  async () => {
    const redis = await RedisServer.start({ maxmemory: "256mb" });
    onTestFinished(() => redis.stop());
    const worker = await SimulatedWorker.start(redis.url);
    onTestFinished(() => worker.close());
    const config = { ...testConfig(redis.url, new LogRecorder()), bodyLimitBytes: 8 * MEBIBYTE };
    const ingress = await Ingress.start(config);
    onTestFinished(() => ingress.close());
    const operator = new TestClient(ingress.port, API_KEY);
    const { client: greedy } = await makeKey(operator, { tenant: "greedy" });
    const { client: modest } = await makeKey(operator, { tenant: "modest" });

    const refusal = await flood(greedy);
    const fullness = await readMetric(ingress, "headrace_redis_memory_ratio");
    // However hard it tries: what is refused takes no room of the others.
    const again = await Promise.all(Array.from({ length: 8 }, () => submit(greedy, LARGE)));
    const others = [await submit(modest, LARGE)];
    for (let count = 0; count < 20; count += 1) others.push(await submit(modest, SMALL));

    expect(refusal).toMatchObject({ status: 429, body: { error: { code: "share_exceeded" } } });
    expect(refusal.headers.get("retry-after")).toBe("10");
    expect(refusal.text).toMatch(/your jobs take \d+\.\d MiB .* may take \d+\.\d MiB/);
    expect(fullness).toBeGreaterThan(0.45);
    expect(fullness).toBeLessThan(0.6);
    // Once it is settled what a job takes, it may be a little less than was thought.
    const refused = again.filter(({ body }) => z.object(REFUSED).safeParse(body).success);
    expect(refused.length).toBeGreaterThanOrEqual(6);
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 202));
    const counted = 'headrace_refusals_total{reason="memory"}';
    expect(await readMetric(ingress, counted)).toBe(1 + refused.length);
  },
);
