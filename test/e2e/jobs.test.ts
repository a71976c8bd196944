import { hostname } from "node:os";

import type { Headrace } from "@headrace/client";
import type { JobEvent, Submit } from "@headrace/contract";
import { expectedChatText } from "@headrace/engine-sim/language";
import { describe, expect } from "vitest";

import { platformTest as test } from "./platform-test.ts";

const prompt = (content: string): { role: "user"; content: string }[] => [
  { role: "user", content },
];

const generation = (content: string, fields: Readonly<Record<string, unknown>> = {}): Submit => ({
  endpoint: "/v1/chat/completions",
  request: { model: "headrace-sim-8b", messages: prompt(content), max_tokens: 50, ...fields },
});

const ENDLESS = { max_tokens: 4_000, ignore_eos: true };

async function readText(client: Headrace, id: string, startingAfter?: string): Promise<string> {
  let text = "";
  for await (const { event } of client.events(id, startingAfter ? { startingAfter } : {})) {
    if (event.type === "attempt.started" && event.reset) text = "";
    if (event.type === "output.delta") text += contentOf(event);
  }
  return text;
}

function contentOf(event: JobEvent & { type: "output.delta" }): string {
  const contents = (event.choices ?? []).map(({ delta }) => delta?.["content"]);
  return contents.filter((content) => typeof content === "string").join("");
}

describe("a job", () => {
  test("is submitted, streamed and kept", async ({ client }) => {
    const submitted = await client.submit(generation("Canals"));
    const text = await readText(client, submitted.id);
    const job = await client.wait(submitted.id);

    const expected = expectedChatText(prompt("Canals"), { maxTokens: 50 });
    expect(submitted.status).toBe("queued");
    expect(text).toBe(expected.text);
    expect(job).toMatchObject({
      status: "completed",
      attempts: 1,
      result: {
        object: "chat.completion",
        choices: [{ message: { content: expected.text }, finish_reason: expected.finishReason }],
      },
      usage: { completion_tokens: expected.ids.length },
    });
  });

  test("tells where its time went", async ({ client }) => {
    const { id } = await client.submit(generation("Time"));
    await client.wait(id);

    const latency = await client.latency(id);

    const sum = latency.stages.reduce((total, { seconds }) => total + seconds, 0);
    expect(sum).toBeCloseTo(latency.total_seconds, 6);
    expect(latency.stages.every(({ seconds }) => seconds >= 0)).toBe(true);
    expect(latency.ttft_seconds).toBeGreaterThan(0);
    expect(latency.tpot_seconds).toBeGreaterThan(0);
  });

  test("tells which worker had it, and how that went", async ({ client }) => {
    const { id } = await client.submit(generation("Who"));
    await client.wait(id);

    const timeline = await client.timeline(id);

    expect(timeline).toMatchObject({ job: id, status: "completed", forgotten_attempts: 0 });
    expect(timeline.attempts).toMatchObject([{ epoch: 1, end: "completed", error_code: null }]);
    expect(timeline.attempts[0]?.worker).toContain(hostname());
    expect(timeline.latency).toEqual(await client.latency(id));
  });

  test("is read again from every place it was left", async ({ client }) => {
    const { id } = await client.submit(generation("Resume", { max_tokens: 30, ignore_eos: true }));
    const events = await Array.fromAsync(client.events(id));
    const { text } = expectedChatText(prompt("Resume"), { maxTokens: 30, ignoreEos: true });

    let seen = "";
    for (const { id: cursor, event } of events.slice(0, -1)) {
      if (event.type === "output.delta") seen += contentOf(event);
      if (cursor !== null) expect(seen + (await readText(client, id, cursor))).toBe(text);
    }
    expect(seen).toBe(text);
  });

  test("stops costing GPU time within a second of its cancel", async ({ client, platform }) => {
    const before = await platform.engineCounts();
    const { id } = await client.submit(generation("Cancel me", ENDLESS));
    for await (const { event } of client.events(id)) if (event.type === "output.delta") break;

    const cancelled = await client.cancel(id);

    expect(cancelled.status).toBe("cancelled");
    await expect
      .poll(() => platform.engineCounts(), { timeout: 1_000 })
      .toMatchObject({ aborted: before.aborted + 1, running: 0 });
    expect((await client.cancel(id)).status).toBe("cancelled");
  });

  test("ends its readers' streams when it is cancelled", async ({ client }) => {
    const { id } = await client.submit(generation("Cancel us", ENDLESS));
    const reading = Array.fromAsync(client.events(id));

    await client.cancel(id);

    expect((await reading).at(-1)?.event.type).toBe("job.cancelled");
  });

  test("is the same job when it is submitted again under its key", async ({ client }) => {
    const options = { idempotencyKey: "e2e-same" };
    const first = await client.submit(generation("Once"), options);
    const second = await client.submit(generation("Once"), options);

    expect(second.id).toBe(first.id);
    await expect(client.submit(generation("Other"), options)).rejects.toMatchObject({
      status: 422,
      code: "idempotency_key_reused",
    });
  });

  test("runs again, as a new job, once it was cancelled", async ({ client }) => {
    const first = await client.submit(generation("Again", { max_tokens: 20 }));
    await client.cancel(first.id);
    const again = await client.retry(first.id, { idempotencyKey: "again" });
    const same = await client.retry(first.id, { idempotencyKey: "again" });
    const ended = await client.wait(again.id);

    expect(again).toMatchObject({ retry_of: first.id, metadata: first.metadata });
    expect(again.id).not.toBe(first.id);
    expect(same.id).toBe(again.id);
    expect(ended).toMatchObject({
      status: "completed",
      result: {
        choices: [
          { message: { content: expectedChatText(prompt("Again"), { maxTokens: 20 }).text } },
        ],
      },
    });
    await expect(client.retry(again.id)).rejects.toMatchObject({ code: "job_completed" });
    expect((await client.get(first.id)).status).toBe("cancelled");
  });

  test("is listed, and gone once deleted", async ({ client }) => {
    const { id } = await client.submit({ ...generation("List"), metadata: { run: "e2e" } });
    await client.wait(id);

    const listed = await client.list({ status: "completed", limit: 1 });
    await client.delete(id);

    expect(listed.data[0]).toMatchObject({ id, metadata: { run: "e2e" } });
    await expect(client.get(id)).rejects.toMatchObject({ status: 404, code: "job_not_found" });
  });

  test("is gone once delivered when it is to be kept for 0 s", async ({ client }) => {
    const { id } = await client.submit({ ...generation("Fleeting"), retention_seconds: 0 });
    await Array.fromAsync(client.events(id));

    await expect
      .poll(() =>
        client.get(id).then(
          () => "kept",
          () => "gone",
        ),
      )
      .toBe("gone");
  });

  test("fails with the engine's own words when the engine rejects it", async ({ client }) => {
    const { id } = await client.submit(generation("Too long", { max_tokens: 1_000_000 }));

    const job = await client.wait(id);

    expect(job).toMatchObject({
      status: "failed",
      attempts: 1,
      error: { code: "engine_rejected" },
    });
  });
});
