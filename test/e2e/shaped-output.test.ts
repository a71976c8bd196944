import { chatPromptIds, expectedText, tokenize } from "@headrace/engine-sim/language";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { describe, expect } from "vitest";
import { z } from "zod";

import { API_KEY, type Platform } from "../platform.ts";
import { platformTest as test } from "./platform-test.ts";

type ChatRequest = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "model" | "stream">;

const MODEL = "headrace-sim-8b";
/** What the engine without a GPU thinks where it is asked to reason. */
const THOUGHT = "Let me think about what was asked before I answer it.";

const clientOf = ({ url }: Platform): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: API_KEY, maxRetries: 0 });

const messages = (content: string): { role: "user"; content: string }[] => [
  { role: "user", content },
];

const parameters = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
const weatherTool = { type: "function", function: { name: "get_weather", parameters } } as const;
const timeTool = { type: "function", function: { name: "get_time" } } as const;
const flatWeather = { type: "function", name: "get_weather", parameters, strict: true } as const;
const flatTime = { type: "function", name: "get_time", parameters: null, strict: null } as const;
const cityArguments = { city: expect.any(String), days: expect.any(Number) };

/** What a delta says, reasoning included, which the package's types do not know. */
const deltaSchema = z.looseObject({
  reasoning: z.string().default(""),
  content: z.string().default(""),
});
const person = z.object({ name: z.string(), age: z.int().min(18).max(99) });

/** The calls of a chat, without their ids, which no two answers share. */
const callsOf = ({ choices }: OpenAI.ChatCompletion) =>
  choices.map(({ message }) =>
    message.tool_calls?.map((call) => (call.type === "function" ? call.function : null)),
  );

describe("through chat completions, the official openai package", () => {
  /** The same request answered whole, and streamed and put together by the package. */
  const bothWays = async (platform: Platform, request: ChatRequest) => {
    const client = clientOf(platform);
    const whole = await client.chat.completions.create({ model: MODEL, ...request });
    const streamed = await client.chat.completions
      .stream({ model: MODEL, ...request, stream_options: { include_usage: true } })
      .finalChatCompletion();
    return { whole, streamed };
  };

  test("is called back for tools, several at a time, streamed or not", async ({ platform }) => {
    const { whole, streamed } = await bothWays(platform, {
      messages: messages("Use get_weather, then get_time"),
      tools: [weatherTool, timeTool],
      parallel_tool_calls: true,
    });

    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
    expect(callsOf(whole)).toMatchObject([[{ name: "get_weather" }, { name: "get_time" }]]);
    expect(JSON.parse(callsOf(whole)[0]?.[0]?.arguments ?? "")).toEqual(cityArguments);
    expect(callsOf(streamed)).toMatchObject(callsOf(whole));
    expect(streamed.choices[0]?.finish_reason).toBe("tool_calls");
    expect(streamed.usage).toEqual(whole.usage);
  });

  test.for<[string, ChatRequest["tool_choice"], string | undefined]>([
    ["required", "required", "get_weather"],
    ["a chosen one", { type: "function", function: { name: "get_time" } }, "get_time"],
    ["none", "none", undefined],
  ])("has its choice of tools kept to: %s", async ([, choice, name], { platform }) => {
    const { whole, streamed } = await bothWays(platform, {
      messages: messages("Hello"),
      tools: [weatherTool, timeTool],
      max_tokens: 200,
      ...(choice === undefined ? {} : { tool_choice: choice }),
    });

    for (const answer of [whole, streamed]) expect(callsOf(answer)[0]?.[0]?.name).toBe(name);
  });

  test("tells of a tool's result, and is answered in words", async ({ platform }) => {
    const client = clientOf(platform);
    const asked = messages("Use get_weather");
    const request = { model: MODEL, tools: [weatherTool], max_tokens: 30 };
    const first = await client.chat.completions.create({
      ...request,
      messages: asked,
      max_tokens: 200,
    });
    const [call] = first.choices[0]?.message.tool_calls ?? [];
    if (first.choices[0] === undefined || call === undefined) throw new Error("no call");
    const second = await client.chat.completions.create({
      ...request,
      messages: [
        ...asked,
        first.choices[0].message,
        { role: "tool", tool_call_id: call.id, content: "sunny" },
      ],
    });

    expect(second.choices[0]?.message.content?.length).toBeGreaterThan(10);
    expect(second.choices[0]?.message.tool_calls ?? []).toEqual([]);
  });

  test("gets JSON of its schema, parsed by its own helper", async ({ platform }) => {
    const request = {
      messages: messages("Who are you?"),
      response_format: zodResponseFormat(person, "person"),
    };
    const parsed = await clientOf(platform).chat.completions.parse({ model: MODEL, ...request });
    const { streamed } = await bothWays(platform, request);

    expect(person.safeParse(parsed.choices[0]?.message.parsed).error).toBeUndefined();
    expect(streamed.choices[0]?.message.content).toBe(parsed.choices[0]?.message.content);
  });

  test("gets JSON where it wants no more than that", async ({ platform }) => {
    const { whole } = await bothWays(platform, {
      messages: messages("Anything"),
      response_format: { type: "json_object" },
    });

    expect(JSON.parse(whole.choices[0]?.message.content ?? "")).toBeTypeOf("object");
  });

  test("gets several choices with log probabilities, and usage at the end", async ({
    platform,
  }) => {
    const { whole, streamed } = await bothWays(platform, {
      messages: messages("Several"),
      n: 3,
      logprobs: true,
      top_logprobs: 2,
      max_tokens: 6,
    });

    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(streamed.choices.map(({ message }) => message.content)).toEqual(
      whole.choices.map(({ message }) => message.content),
    );
    expect(streamed.choices.map(({ logprobs }) => logprobs?.content)).toEqual(
      whole.choices.map(({ logprobs }) => logprobs?.content),
    );
    expect(streamed.usage).toEqual(whole.usage);
  });

  test("gets no usage chunk that it did not ask for", async ({ platform }) => {
    const stream = await clientOf(platform).chat.completions.create({
      model: MODEL,
      messages: messages("Quiet"),
      max_tokens: 4,
      stream: true,
    });
    const chunks = await Array.fromAsync(stream);

    expect(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage)).toBe(true);
  });

  test("gets reasoning beside the answer, delta by delta", async ({ platform }) => {
    const stream = await clientOf(platform).chat.completions.create({
      model: MODEL,
      messages: messages("Why?"),
      max_tokens: 50,
      reasoning_effort: "low",
      stream: true,
    });
    let [reasoning, content] = ["", ""];
    for await (const chunk of stream) {
      const delta = deltaSchema.parse(chunk.choices[0]?.delta ?? {});
      reasoning += delta.reasoning;
      content += delta.content;
    }

    expect(reasoning).toBe(THOUGHT);
    expect(content).toBe(answerAfterThought("Why?", 50));
  });
});

describe("through responses, the official openai package", () => {
  test("is called back for tools, and tells of their results", async ({ platform }) => {
    const client = clientOf(platform);
    const input: OpenAI.Responses.ResponseInput = [
      { role: "user", content: "Use get_weather and get_time" },
    ];
    const request = { model: MODEL, tools: [flatWeather, flatTime] };
    const first = await client.responses.create({ ...request, input });
    const calls = first.output.filter((item) => item.type === "function_call");
    const results = calls.map(({ call_id }) => ({
      type: "function_call_output" as const,
      call_id,
      output: "sunny",
    }));
    const second = await client.responses.create({
      ...request,
      input: [...input, ...calls, ...results],
      max_output_tokens: 30,
    });

    expect(calls.map(({ name }) => name)).toEqual(["get_weather", "get_time"]);
    expect(JSON.parse(calls[0]?.arguments ?? "")).toEqual(cityArguments);
    expect(first.status).toBe("completed");
    expect(second.output_text.length).toBeGreaterThan(10);
  });

  test("streams calls, whose events say what the response says", async ({ platform }) => {
    const stream = clientOf(platform).responses.stream({
      model: MODEL,
      input: "Hello",
      tools: [flatWeather],
      tool_choice: { type: "function", name: "get_weather" },
    });
    const deltas: string[] = [];
    stream.on("response.function_call_arguments.delta", ({ delta }) => deltas.push(delta));
    const response = await stream.finalResponse();

    expect(response.output).toMatchObject([
      { type: "function_call", name: "get_weather", arguments: deltas.join("") },
    ]);
    expect(JSON.parse(deltas.join(""))).toEqual(cityArguments);
    expect(response.tools).toMatchObject([{ type: "function", name: "get_weather", strict: true }]);
    expect(response.tool_choice).toEqual({ type: "function", name: "get_weather" });
  });

  test("gets JSON of its schema, parsed by its own helper", async ({ platform }) => {
    const response = await clientOf(platform).responses.parse({
      model: MODEL,
      input: "Who are you?",
      text: { format: zodTextFormat(person, "person") },
    });

    expect(person.safeParse(response.output_parsed).error).toBeUndefined();
    expect(response.text?.format).toMatchObject({ type: "json_schema", name: "person" });
  });

  test("gets JSON in the background too", async ({ platform }) => {
    const stream = await clientOf(platform).responses.create({
      model: MODEL,
      input: "Anything",
      text: { format: { type: "json_object" } },
      background: true,
      stream: true,
    });
    const events = await Array.fromAsync(stream);
    const done = events.find((event) => event.type === "response.output_text.done");

    expect(JSON.parse(done?.text ?? "")).toBeTypeOf("object");
    expect(events.at(-1)?.type).toBe("response.completed");
  });

  test("gets reasoning as an item of its own, and can send it back", async ({ platform }) => {
    const client = clientOf(platform);
    const request = { model: MODEL, reasoning: { effort: "low" as const }, max_output_tokens: 50 };
    const stream = client.responses.stream({ ...request, input: "Why?" });
    const deltas: string[] = [];
    stream.on("response.reasoning_text.delta", ({ delta }) => deltas.push(delta));
    const response = await stream.finalResponse();
    const said = response.output.filter(
      (item) => item.type === "message" || item.type === "reasoning",
    );
    const again = await client.responses.create({
      ...request,
      input: [{ role: "user", content: "Why?" }, ...said, { role: "user", content: "And now?" }],
    });

    expect(deltas.join("")).toBe(THOUGHT);
    expect(response.output).toMatchObject([
      { type: "reasoning", content: [{ type: "reasoning_text", text: THOUGHT }] },
      { type: "message", content: [{ text: answerAfterThought("Why?", 50) }] },
    ]);
    expect(response.reasoning).toMatchObject({ effort: "low" });
    expect(again.output_text.length).toBeGreaterThan(0);
  });

  test("gets log probabilities with the text they are of", async ({ platform }) => {
    const response = await clientOf(platform).responses.create({
      model: MODEL,
      input: "Odds",
      max_output_tokens: 6,
      top_logprobs: 2,
      include: ["message.output_text.logprobs"],
    });

    expect(response.output).toMatchObject([
      { content: [{ logprobs: Array.from({ length: 6 }, () => ({ top_logprobs: [{}, {}] })) }] },
    ]);
  });
});

/** What is said to a prompt after the thought, of so many tokens in all. */
function answerAfterThought(content: string, maxTokens: number): string {
  const thought = tokenize(THOUGHT);
  const promptIds = [...chatPromptIds(messages(content)), ...thought];
  return expectedText({ promptIds, maxTokens: maxTokens - thought.length }).text;
}
