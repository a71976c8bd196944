import * as fc from "fast-check";
import { z } from "zod";
import { once } from "node:events";
import { IncomingMessage, request as openRequest } from "node:http";
import { text as readText } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chatPromptIds, detokenize, expectedChatText, expectedText, tokenize } from "./language.ts";
import { type EngineSim, startEngineSim } from "./server.ts";
import { post, postStreaming, readStream } from "./sse-client.ts";

const messages = [{ role: "user", content: "Hello" }];
let engine: EngineSim;
let chat: string;
let completions: string;

beforeAll(async () => {
  engine = await startEngineSim({
    port: 0,
    stepMs: 0,
    enablePerRequestMetrics: true,
    servedModelName: ["sim", "alias"],
    maxModelLen: 2_048,
  });
  chat = `${engine.url}/v1/chat/completions`;
  completions = `${engine.url}/v1/completions`;
});

afterAll(async () => engine.close());

async function answerOf(url: string, body: object): Promise<unknown> {
  return (await post(url, body)).json();
}

async function vectorsOf(body: object): Promise<(string | number[])[]> {
  return embeddingsSchema
    .parse(await answerOf(`${engine.url}/v1/embeddings`, body))
    .data.map(({ embedding }) => embedding);
}

const embeddingsSchema = z.looseObject({
  object: z.literal("list"),
  data: z.array(z.looseObject({ embedding: z.union([z.string(), z.array(z.number())]) })),
  usage: z.looseObject({ completion_tokens: z.literal(0) }),
});

function dot(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}

describe("generation", () => {
  test("says the same streamed, whole and computed, whatever stops it", async () => {
    const request = fc.record({
      content: fc.string({ unit: "binary", maxLength: 20 }),
      seed: fc.nat(99),
      max_tokens: fc.integer({ min: 1, max: 80 }),
      min_tokens: fc.nat(5),
      stop: fc.array(fc.constantFrom(".", " the", "é", "—", "ing", "🌊 ", "e o"), { maxLength: 3 }),
      ignore_eos: fc.boolean(),
    });
    const property = fc.asyncProperty(request, async ({ content, ...sampling }) => {
      const body = { ...sampling, messages: [{ role: "user", content }] };
      const expected = expectedChatText(body.messages, {
        seed: sampling.seed,
        maxTokens: sampling.max_tokens,
        minTokens: sampling.min_tokens,
        stop: sampling.stop,
        ignoreEos: sampling.ignore_eos,
      });
      const [streamed, whole] = await Promise.all([
        postStreaming(chat, { ...body, return_token_ids: true }),
        answerOf(chat, body),
      ]);

      expect(streamed).toMatchObject({ text: expected.text, ids: expected.ids, isDone: true });
      expect(streamed.finishReason).toBe(expected.finishReason);
      expect(whole).toMatchObject({
        choices: [{ message: { content: expected.text }, finish_reason: expected.finishReason }],
        usage: { completion_tokens: expected.ids.length },
      });
    });
    await fc.assert(property, { numRuns: 40 });
  });

  test("goes on from prompt ids and the first k emitted ids as if uninterrupted", async () => {
    const whole = await postStreaming(chat, {
      messages,
      max_tokens: 60,
      ignore_eos: true,
      return_token_ids: true,
    });
    const [{ prompt_token_ids: promptIds } = {}] = whole.chunks;
    expect(promptIds).toEqual(chatPromptIds(messages));

    for (const k of [1, 17, 42]) {
      const rest = await postStreaming(completions, {
        prompt: [...(promptIds ?? []), ...whole.ids.slice(0, k)],
        max_tokens: 60 - k,
        ignore_eos: true,
        return_token_ids: true,
      });
      expect(rest.ids).toEqual(whole.ids.slice(k));
    }
  });

  test("says nothing of a character that its prompt began; its ids all together do", async () => {
    const body = { prompt: "The sea", max_tokens: 120, ignore_eos: true, return_token_ids: true };
    const { ids } = await postStreaming(completions, body);
    const isBegun = (count: number): boolean => detokenize(ids.slice(0, count)).endsWith("\uFFFD");
    const begun = ids.findIndex((_, count) => isBegun(count));
    const ended = ids.findIndex((_, count) => count > begun && !isBegun(count));
    const rest = await postStreaming(completions, {
      ...body,
      prompt: [...tokenize("The sea"), ...ids.slice(0, begun)],
      max_tokens: 120 - begun,
    });

    expect(begun).toBeGreaterThan(0);
    expect(rest.ids).toEqual(ids.slice(begun));
    expect(rest.text).toBe(detokenize(ids.slice(ended)));
    expect(await answerOf(`${engine.url}/detokenize`, { tokens: ids.slice(0, begun) })).toEqual({
      prompt: expect.stringMatching(/\uFFFD$/),
    });
  });

  test("knows nothing of a stop string that its prompt began", async () => {
    const { ids, text } = await postStreaming(completions, {
      prompt: "A",
      ignore_eos: true,
      return_token_ids: true,
    });
    const half = tokenize("A").concat(ids.slice(0, 8));
    const at = detokenize(ids.slice(0, 8)).length;
    const stop = text.slice(at - 3, at + 3);
    const rest = await postStreaming(completions, {
      prompt: half,
      max_tokens: 8,
      ignore_eos: true,
      stop,
    });

    expect(rest.text).toBe(text.slice(at));
    expect(rest.finishReason).toBe("length");
  });

  test("gives each token a chunk of its own, and usage and times after the last", async () => {
    const body = { messages, max_tokens: 5, stream_options: { include_usage: true } };
    const { chunks } = await postStreaming(chat, body);

    expect(chunks).toHaveLength(1 + 5 + 1);
    expect(chunks[0]?.choices[0]?.delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe("length");
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 5 } });
    expect(Object.keys(chunks.at(-1)?.metrics ?? {})).toEqual([
      "time_to_first_token_ms",
      "generation_time_ms",
      "queue_time_ms",
      "mean_itl_ms",
      "tokens_per_second",
    ]);
  });

  test("lets tokens gather for a client that does not read, and loses none of its text", async () => {
    const body = {
      messages,
      max_tokens: 1_500,
      n: 8,
      ignore_eos: true,
      logprobs: true,
      top_logprobs: 20,
    };
    const call = openRequest(chat, { method: "POST" });
    call.end(JSON.stringify({ ...body, stream: true }));
    const [response] = z.tuple([z.instanceof(IncomingMessage)]).parse(await once(call, "response"));
    const counts = `${engine.url}/sim/requests`;
    await expect
      .poll(async () => (await fetch(counts)).json(), { interval: 5 })
      .toMatchObject({ running: 0 });
    const { chunks, text } = readStream(await readText(response), 7);

    expect(text).toBe(
      expectedChatText(messages, { seed: 7, maxTokens: 1_500, ignoreEos: true }).text,
    );
    expect(chunks.length).toBeLessThan(8 * 1_000);
  });

  test("answers several prompts and several choices, each from its own seed", async () => {
    const body = { prompt: ["One river", "Two mills"], n: 2, max_tokens: 8, seed: 3 };
    const texts = body.prompt.flatMap((prompt) =>
      [3, 4].map((seed) => expectedText({ promptIds: tokenize(prompt), seed, maxTokens: 8 }).text),
    );

    expect(await answerOf(completions, body)).toMatchObject({
      choices: texts.map((text, index) => ({ index, text })),
      metrics: null,
    });
    expect((await postStreaming(completions, body, 3)).text).toBe(texts[3]);
  });

  test("takes 16 tokens as the default of completions and stops at given ids", async () => {
    const { ids } = await postStreaming(completions, { prompt: "A", return_token_ids: true });
    expect(ids).toHaveLength(16);
    const body = { prompt: "A", stop_token_ids: [ids[4]], min_tokens: 1 };

    expect(await answerOf(completions, body)).toMatchObject({
      choices: [{ finish_reason: "stop", stop_reason: ids[4] }],
    });
  });

  test("names made-up log probabilities in the shape of each endpoint", async () => {
    expect(
      await answerOf(chat, { messages, max_tokens: 2, logprobs: true, top_logprobs: 2 }),
    ).toMatchObject({
      choices: [
        {
          logprobs: {
            content: [{ top_logprobs: [{}, {}] }, { bytes: [32, 99, 104, 97, 114, 116] }],
          },
        },
      ],
    });
    expect(await answerOf(completions, { prompt: "A", max_tokens: 2, logprobs: 1 })).toMatchObject({
      choices: [
        {
          logprobs: {
            tokens: [{}, {}].map(() => expect.any(String)),
            text_offset: [0, expect.any(Number)],
          },
        },
      ],
    });
  });
});

describe("refusals", () => {
  test.each([
    ["an unknown model", 404, { messages, model: "gpt" }, /`gpt` does not exist/],
    [
      "too long an answer",
      400,
      { messages, max_tokens: 5_000 },
      /maximum context length is 2048 tokens\. However, you requested 5000 output tokens/,
    ],
    [
      "too long a prompt",
      400,
      { messages: [{ role: "user", content: "é".repeat(2_000) }] },
      /your request has 4004 input tokens/,
    ],
    ["a field of the wrong type", 400, { messages: "Hello" }, /validation error/],
    [
      "a priority without the policy",
      400,
      { messages, priority: 1 },
      /Priority scheduling is not enabled/,
    ],
    ["stream options without a stream", 400, { messages, stream_options: {} }, /stream=True/],
  ])("answer %s in vLLM's shape", async (_, status, body, message) => {
    const response = await post(chat, body);

    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringMatching(message), type: expect.any(String), code: status },
    });
  });

  test("answer what is not JSON, not there, or not to be done that way", async () => {
    const answers = await Promise.all([
      fetch(chat, { method: "POST", body: "{" }),
      fetch(`${engine.url}/v1/nothing`),
      fetch(chat),
    ]);

    expect(answers.map((answer) => answer.status)).toEqual([400, 404, 405]);
  });
});

describe("the other endpoints", () => {
  test("embed texts as unit vectors, the same each time, nearer where words are shared", async () => {
    const input = ["the quiet river", "the quiet mill", "another golden coin"];
    const [river, mill, coin] = z
      .array(z.array(z.number()))
      .length(3)
      .parse(await vectorsOf({ input }));
    if (river === undefined || mill === undefined || coin === undefined)
      throw new Error("three vectors");

    expect([river.length, dot(river, river)]).toEqual([384, expect.closeTo(1, 5)]);
    expect(dot(river, mill)).toBeGreaterThan(dot(river, coin) + 0.3);
    const [encoded] = await vectorsOf({
      input: tokenize("the quiet river"),
      encoding_format: "base64",
    });
    const floats = Buffer.from(String(encoded), "base64");
    expect(floats.readFloatLE(4)).toBeCloseTo(river[1] ?? 0, 6);
    expect((await vectorsOf({ input: "x", dimensions: 7 }))[0]).toHaveLength(7);
  });

  test("tokenize and detokenize texts and conversations", async () => {
    const { tokens } = z
      .looseObject({ tokens: z.array(z.int()) })
      .parse(await answerOf(`${engine.url}/tokenize`, { messages }));

    expect(tokens).toEqual(chatPromptIds(messages));
    expect(await answerOf(`${engine.url}/detokenize`, { tokens })).toEqual({
      prompt: "<|begin|><|user|>Hello<|end|><|assistant|>",
    });
    expect(await answerOf(`${engine.url}/tokenize`, { prompt: " river" })).toMatchObject({
      count: 1,
    });
  });

  test("list every served name, with the model behind it and its length", async () => {
    expect(await (await fetch(`${engine.url}/v1/models`)).json()).toMatchObject({
      data: [
        { id: "sim", root: "headrace-sim-8b", max_model_len: 2_048 },
        { id: "alias", root: "headrace-sim-8b" },
      ],
    });
    expect((await post(chat, { messages, model: "alias", max_tokens: 1 })).status).toBe(200);
  });

  test("say that all is well, and which version this is", async () => {
    const [health, version] = await Promise.all(
      ["/health", "/version"].map(async (path) => fetch(engine.url + path)),
    );

    expect([health?.status, await version?.json()]).toEqual([200, { version: expect.any(String) }]);
  });
});
