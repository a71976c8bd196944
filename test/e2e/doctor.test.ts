import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { diagnosisSchema, type Finding } from "@headrace/contract";
import { describe, expect, onTestFinished, test } from "vitest";

import { Platform } from "../platform.ts";

const PROGRAM = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));
/** Workers tell of themselves every 5 s, and are gone after 15. */
const TOLD_MS = 30_000;

const run = promisify(execFile);

/** `headrace doctor`: its exit code, and what is not well. */
async function callDoctor(url: string): Promise<{ code: number; troubles: Finding[] }> {
  const args = [PROGRAM, "doctor", "--url", url, "--json"];
  const { code, stdout } = await run(process.execPath, args).then(
    (ended) => ({ code: 0, stdout: ended.stdout }),
    (error: { code: number; stdout: string }) => error,
  );
  const { findings } = diagnosisSchema.parse(JSON.parse(stdout));
  return { code, troubles: findings.filter(({ level }) => level !== "ok") };
}

async function startPlatform(): Promise<Platform> {
  // A process that was told of others' metrics serves its diagnosis beside the API.
  const ingress = { INGRESS_METRICS_PEERS: "http://127.0.0.1:1/metrics" };
  const platform = await Platform.start({ ingress });
  onTestFinished(() => platform.stop());
  return platform;
}

describe("headrace doctor", { timeout: 60_000 }, () => {
  test("finds an engine that has died, by the word of its worker", async () => {
    const platform = await startPlatform();
    const well = await callDoctor(platform.url);
    await platform.engine.stop();

    expect(well).toEqual({ code: 0, troubles: [] });
    await expect
      .poll(async () => callDoctor(platform.url), { timeout: TOLD_MS, interval: 500 })
      .toMatchObject({ code: 1, troubles: [{ check: "engines", level: "fault" }] });
  });

  test("finds a Redis that has come to evict, and a job that waits for a worker", async () => {
    const platform = await startPlatform();
    await Promise.all(platform.workers.map((worker) => worker.stop()));
    const request = { model: "headrace-sim-8b", messages: [{ role: "user", content: "Hi" }] };
    await platform.call("/v1/jobs", {
      method: "POST",
      body: JSON.stringify({ endpoint: "/v1/chat/completions", request }),
    });
    await platform.redis.kill();
    await platform.redis.restart({ "maxmemory-policy": "allkeys-lru" });

    await expect
      .poll(async () => callDoctor(platform.url), { timeout: TOLD_MS, interval: 500 })
      .toMatchObject({
        code: 1,
        troubles: [
          { check: "redis", advice: "set maxmemory-policy to noeviction" },
          { check: "workers", found: expect.stringContaining("1 job of headrace-sim-8b wait") },
        ],
      });
  });
});
