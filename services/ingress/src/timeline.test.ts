import { timelineSchema, type Timeline } from "@headrace/contract";
import { describe, expect } from "vitest";

import type { TestClient } from "./testing/client.ts";
import { ingressTest as test } from "./testing/ingress-test.ts";

async function timelineOf(client: TestClient, id: string): Promise<Timeline> {
  return timelineSchema.parse((await client.call("GET", `/v1/jobs/${id}/timeline`)).body);
}

describe("GET /v1/jobs/{id}/timeline", () => {
  test("tells of a job that waits, runs, goes round and fails", async ({ client, worker }) => {
    const id = await client.submit();
    const queued = await timelineOf(client, id);
    await (await worker.next()).release();
    const run = await worker.next();
    const running = await timelineOf(client, id);
    await run.fail({ message: "boom", type: "x", param: null, code: "engine_failed" });
    const failed = await timelineOf(client, id);

    expect(queued).toMatchObject({ job: id, status: "queued", attempts: [], latency: null });
    expect(running).toMatchObject({ status: "in_progress", error: null, ended_at: null });
    expect(running.attempts[1]).toMatchObject({ epoch: 2, ended_at: null, end: null });
    expect(failed).toMatchObject({
      object: "timeline",
      status: "failed",
      error: { message: "boom", code: "engine_failed" },
      attempts: [
        { epoch: 1, from: 0, reset: false, end: "engine_error", error_code: "engine_timeout" },
        { epoch: 2, end: "failed", error_code: "engine_failed" },
      ],
      forgotten_attempts: 0,
      latency: { job: id, attempts: 2 },
    });
    const [first, second] = failed.attempts;
    expect(first?.worker).toMatch(/^w-simulated-/);
    expect(first?.started_at).toBeGreaterThanOrEqual(failed.created_at);
    expect(second?.started_at).toBeGreaterThanOrEqual(first?.ended_at ?? Number.NaN);
    expect(second?.ended_at).toBe(failed.ended_at);
  });

  test("says why a job expired that never started", async ({ client }) => {
    const id = await client.submit({ deadline_seconds: 1 });
    await expect
      .poll(async () => (await timelineOf(client, id)).status, { timeout: 15_000 })
      .toBe("expired");

    expect(await timelineOf(client, id)).toMatchObject({
      attempts: [],
      error: { code: "deadline_exceeded" },
    });
  }, 20_000);

  test("knows no job that is unknown or no id at all", async ({ client }) => {
    const ids = ["job_aaaaaa_00000000000000000000000000", "job_x", "..%2Fkeys"];
    const answers = await Promise.all(
      ids.map((id) => client.call("GET", `/v1/jobs/${id}/timeline`)),
    );

    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(answers[0]?.body).toMatchObject({ error: { code: "job_not_found" } });
  });
});
