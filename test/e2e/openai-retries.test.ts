import { expectedChatText } from "@headrace/engine-sim/language";
import { FaultProxy } from "@headrace/testkit/instruments";
import OpenAI from "openai";
import { describe, expect } from "vitest";

import { API_KEY } from "../platform.ts";
import { platformTest } from "./platform-test.ts";

const MODEL = "headrace-sim-8b";
const MAX_TOKENS = 20;

/** A vitest `test` with OpenAI's package behind a proxy that loses answers. */
const test = platformTest
  .extend("proxy", async ({ platform }, { onCleanup }) => {
    const proxy = await FaultProxy.start(Number(new URL(platform.url).port));
    onCleanup(() => proxy.close());
    return proxy;
  })
  .extend("openai", ({ proxy }) => {
    const baseURL = `http://127.0.0.1:${proxy.port}/v1`;
    return new OpenAI({ baseURL, apiKey: API_KEY, maxRetries: 2 });
  });

const expectedOf = (content: string): string =>
  expectedChatText([{ role: "user", content }], { maxTokens: MAX_TOKENS }).text;

/** The first test also starts the platform. */
const TIMEOUT_MS = 20_000;

describe("the official openai package, when an answer is lost", { timeout: TIMEOUT_MS }, () => {
  test("gets the result of the job that its first try made", async ({
    platform,
    client,
    proxy,
    openai,
  }) => {
    const { started: before } = await platform.engineCounts();
    const jobsBefore = (await client.list()).data.length;
    proxy.dropReplies(1, "POST /v1/chat/completions");

    const completion = await openai.chat.completions.create({
      model: MODEL,
      messages: [{ role: "user", content: "What is lost?" }],
      max_tokens: MAX_TOKENS,
    });

    expect(proxy.dropped).toBe(1);
    expect(completion.choices[0]?.message.content).toBe(expectedOf("What is lost?"));
    expect((await platform.engineCounts()).started).toBe(before + 1);
    expect((await client.list()).data).toHaveLength(jobsBefore + 1);
  });

  test("makes one response in the background, and not two", async ({ client, proxy, openai }) => {
    const jobsBefore = (await client.list()).data.length;
    proxy.dropReplies(1, "POST /v1/responses");

    const response = await openai.responses.create({
      model: MODEL,
      input: "What is found?",
      max_output_tokens: MAX_TOKENS,
      background: true,
    });

    expect(proxy.dropped).toBe(1);
    expect((await client.list()).data).toHaveLength(jobsBefore + 1);
    await expect
      .poll(async () => (await openai.responses.retrieve(response.id)).output_text, {
        timeout: 5_000,
      })
      .toBe(expectedOf("What is found?"));
  });

  test("makes two of two that say the same", async ({ client, openai }) => {
    const jobsBefore = (await client.list()).data.length;
    const ask = { model: MODEL, input: "Again?", max_output_tokens: MAX_TOKENS };

    await openai.responses.create({ ...ask, background: true });
    await openai.responses.create({ ...ask, background: true });

    expect((await client.list()).data).toHaveLength(jobsBefore + 2);
  });
});
