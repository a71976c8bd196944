import { Headrace } from "@headrace/client";
import { describe, expect, onTestFinished, test } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

const MODEL = "headrace-sim-8b";
const JOBS = 6;
const MAX_TOKENS = 30;
const GPUS = 2;
/** Of an hour: a second costs a thousandth. */
const PRICE = 3.6;
/** It also starts the platform. */
const TIMEOUT_MS = 30_000;

describe("usage", () => {
  test(
    "is what the engine counted, and the GPUs' time shared out among the jobs",
    { timeout: TIMEOUT_MS },
    async () => {
      const platform = await Platform.start({
        ingress: { HEADRACE_GPU_HOUR_PRICE: String(PRICE), HEADRACE_CURRENCY: "EUR" },
        worker: { WORKER_GPUS: String(GPUS) },
      });
      onTestFinished(() => platform.stop());
      const client = new Headrace({ url: platform.url, apiKey: API_KEY });
      const startedAtMs = performance.now();

      const jobs = await Promise.all(
        Array.from({ length: JOBS }, async (_job, at) => {
          const content = `What did job ${at} use?`;
          const request = {
            model: MODEL,
            messages: [{ role: "user", content }],
            max_tokens: MAX_TOKENS,
          };
          const { id } = await client.submit({ endpoint: "/v1/chat/completions", request });
          return client.wait(id);
        }),
      );
      const tookSeconds = (performance.now() - startedAtMs) / 1_000;
      await expect
        .poll(async () => (await client.usage()).total.jobs, { timeout: 3_000 })
        .toBe(JOBS);
      const { total, currency } = await client.usage({ groupBy: ["model"] });

      const sumOf = (field: "prompt_tokens" | "completion_tokens"): number =>
        jobs.reduce((sum, { usage }) => sum + (usage?.[field] ?? 0), 0);
      expect(total.input_tokens).toBe(sumOf("prompt_tokens"));
      expect(total.output_tokens).toBe(sumOf("completion_tokens"));
      // They ran side by side: each by itself took as long as nearly all of it.
      const decodeSeconds = MAX_TOKENS * 0.005;
      expect(total.gpu_seconds).toBeGreaterThan(GPUS * decodeSeconds);
      expect(total.gpu_seconds).toBeLessThan(GPUS * tookSeconds);
      expect(total.cost).toBeCloseTo((total.gpu_seconds * PRICE) / 3_600, 6);
      expect(currency).toBe("EUR");
    },
  );

  test(
    "is also the time that a cancelled job has cost until then",
    { timeout: TIMEOUT_MS },
    async () => {
      const platform = await Platform.start();
      onTestFinished(() => platform.stop());
      const client = new Headrace({ url: platform.url, apiKey: API_KEY });
      const messages = [{ role: "user", content: "Go on for ever." }];
      const request = { model: MODEL, messages, max_tokens: 5_000, ignore_eos: true };

      const { id } = await client.submit({ endpoint: "/v1/chat/completions", request });
      for await (const { text } of client.text(id)) if (text !== "") break;
      await client.cancel(id);

      await expect
        .poll(async () => (await client.usage()).total.gpu_seconds, { timeout: 5_000 })
        .toBeGreaterThan(0);
      const { total } = await client.usage();
      expect(total.jobs).toBe(1);
      expect(total.output_tokens).toBeGreaterThan(0);
    },
  );
});
