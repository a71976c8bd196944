import { expectedChatText, expectedText, tokenize } from "@headrace/engine-sim/language";
import OpenAI, { APIError } from "openai";
import { describe, expect } from "vitest";

import { API_KEY } from "../platform.ts";
import { platformTest as test } from "./platform-test.ts";

const MODEL = "headrace-sim-8b";
const WAIT = { timeout: 5_000 };
/** A parameter of vLLM's own: OpenAI's package passes it on, though its types do not know it. */
const VLLM_ENDLESS = { ignore_eos: true };

const messages = (content: string): { role: "user"; content: string }[] => [
  { role: "user", content },
];

const clientOf = (url: string, apiKey = API_KEY): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });

describe("the official openai package", () => {
  test("gets a whole chat completion", async ({ platform }) => {
    const prompt = messages("Why is the sky blue?");
    const expected = expectedChatText(prompt, { maxTokens: 40 });

    const completion = await clientOf(platform.url).chat.completions.create({
      model: MODEL,
      messages: prompt,
      max_tokens: 40,
    });

    expect(completion.choices[0]?.message).toMatchObject({
      role: "assistant",
      content: expected.text,
    });
    expect(completion.choices[0]?.finish_reason).toBe(expected.finishReason);
    expect(completion.usage?.completion_tokens).toBe(expected.ids.length);
    expect(completion.object).toBe("chat.completion");
  });

  test("streams a chat, in pieces, ending with usage", async ({ platform }) => {
    const prompt = messages("Tell me about rivers");
    const stream = await clientOf(platform.url).chat.completions.create({
      model: MODEL,
      messages: prompt,
      max_tokens: 60,
      stream: true,
      stream_options: { include_usage: true },
    });

    const pieces: string[] = [];
    let usage: OpenAI.CompletionUsage | null | undefined = null;
    for await (const chunk of stream) {
      pieces.push(chunk.choices[0]?.delta.content ?? "");
      usage = chunk.usage ?? usage;
    }

    const expected = expectedChatText(prompt, { maxTokens: 60 });
    expect(pieces.join("")).toBe(expected.text);
    expect(pieces.filter(Boolean).length).toBeGreaterThan(3);
    expect(usage).toMatchObject({ completion_tokens: expected.ids.length });
  });

  test("gathers several choices with its own stream helper", async ({ platform }) => {
    const completion = await clientOf(platform.url)
      .chat.completions.stream({ model: MODEL, messages: messages("Two"), max_tokens: 12, n: 2 })
      .finalChatCompletion();

    expect(completion.choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(completion.choices.every(({ message }) => Boolean(message.content))).toBe(true);
  });

  test("passes logprobs on unharmed, streamed or not", async ({ platform }) => {
    const client = clientOf(platform.url);
    const request = {
      model: MODEL,
      messages: messages("Odds"),
      max_tokens: 8,
      logprobs: true,
      top_logprobs: 2,
    };

    const whole = await client.chat.completions.create(request);
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();

    expect(whole.choices[0]?.logprobs?.content?.length).toBe(8);
    expect(streamed.choices[0]?.logprobs?.content).toEqual(whole.choices[0]?.logprobs?.content);
  });

  test("completes text, streamed and not", async ({ platform }) => {
    const client = clientOf(platform.url);
    const request = { model: MODEL, prompt: "The canal", max_tokens: 20 };

    const whole = await client.completions.create(request);
    let streamed = "";
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      streamed += chunk.choices[0]?.text ?? "";
    }

    const { text } = expectedText({ promptIds: tokenize("The canal"), maxTokens: 20 });
    expect(whole.choices[0]?.text).toBe(text);
    expect(streamed).toBe(text);
  });

  test("embeds", async ({ platform }) => {
    const { data, usage } = await clientOf(platform.url).embeddings.create({
      model: MODEL,
      input: ["one", "two"],
    });

    expect(data.map(({ embedding }) => embedding.length)).toEqual([384, 384]);
    expect(usage.prompt_tokens).toBeGreaterThan(0);
  });

  test("lists models", async ({ platform }) => {
    const { data } = await clientOf(platform.url).models.list();

    expect(data.map(({ id }) => id)).toContain(MODEL);
  });

  test.for<
    [string, string, Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>, number, string]
  >([
    ["a wrong key", "wrong", {}, 401, "api_key_invalid"],
    ["an unknown model", API_KEY, { model: "nobody/knows" }, 404, "model_not_found"],
    ["no messages", API_KEY, { messages: [] }, 400, "request_invalid"],
    ["more than the model holds", API_KEY, { max_tokens: 1_000_000 }, 400, "engine_rejected"],
  ])("is refused %s", async ([, apiKey, request, status, code], { platform }) => {
    const error = await clientOf(platform.url, apiKey)
      .chat.completions.create({ model: MODEL, messages: messages("Hi"), ...request })
      .catch((failure: unknown) => failure);

    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status, code });
  });

  test("stops the engine when it hangs up", async ({ platform }) => {
    const before = await platform.engineCounts();
    const stream = await clientOf(platform.url).chat.completions.create({
      model: MODEL,
      messages: messages("A very long story"),
      max_tokens: 4_000,
      stream: true,
      ...VLLM_ENDLESS,
    });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;

    await expect
      .poll(() => platform.engineCounts(), { ...WAIT, timeout: 1_000 })
      .toMatchObject({
        aborted: before.aborted + 1,
        running: 0,
      });
  });

  test("is served many at a time, each its own text", async ({ platform }) => {
    const client = clientOf(platform.url);
    const prompts = Array.from({ length: 60 }, (_, at) => messages(`Question number ${at}`));

    const answers = await Promise.all(
      prompts.map((prompt) =>
        client.chat.completions.create({ model: MODEL, messages: prompt, max_tokens: 30 }),
      ),
    );

    expect(answers.map(({ choices }) => choices[0]?.message.content)).toEqual(
      prompts.map((prompt) => expectedChatText(prompt, { maxTokens: 30 }).text),
    );
  });
});
