import { z } from "zod";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { makeInstance, type JsonSchema } from "./json-instance.ts";
import { chatPromptIds, expectedText, tokenize } from "./language.ts";
import { THOUGHT } from "./reply-plan.ts";
import { startEngineSim, type EngineSim } from "./server.ts";
import { post, postStreaming } from "./sse-client.ts";

let engine: EngineSim;
let chat: string;

beforeAll(async () => {
  engine = await startEngineSim({ port: 0, stepMs: 0, servedModelName: ["sim"] });
  chat = `${engine.url}/v1/chat/completions`;
});

afterAll(async () => engine.close());

const reasoningSchema = z.looseObject({ reasoning: z.string().default("") });
const says = (content: string) => ({ messages: [{ role: "user", content }] });
const tool = (name: string, parameters: object = { type: "object" }) => ({
  type: "function",
  function: { name, parameters },
});
const weather = tool("get_weather", {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 1, maximum: 7 } },
  required: ["city"],
});
const time = tool("get_time");

const format = (schema: object) => ({
  response_format: { type: "json_schema", json_schema: { name: "out", schema } },
});
const counting = () => {
  let count = 0;
  return () => (count += 7);
};

const callSchema = z.looseObject({
  id: z.string(),
  type: z.literal("function"),
  function: z.object({ name: z.string(), arguments: z.string() }),
});
const answerSchema = z.looseObject({
  choices: z.array(
    z.looseObject({
      message: z.looseObject({
        content: z.string().nullable(),
        reasoning: z.string().nullable(),
        tool_calls: z.array(callSchema),
      }),
      finish_reason: z.string(),
    }),
  ),
  usage: z.looseObject({ prompt_tokens: z.int(), completion_tokens: z.int() }),
});

async function answer(body: object) {
  const { choices, usage } = answerSchema.parse(await (await post(chat, body)).json());
  const [choice] = choices;
  if (choice === undefined) throw new Error("no choice");
  return { ...choice.message, finishReason: choice.finish_reason, usage };
}

/** The calls of a streamed answer, put together as clients do. */
async function streamedCalls(
  body: object,
): Promise<{ calls: object[]; finishReason: string | null }> {
  const { chunks, finishReason } = await postStreaming(chat, body);
  const calls: { id: string; name: string; arguments: string }[] = [];
  for (const { choices } of chunks) {
    const delta = choices[0]?.delta ?? {};
    for (const { index, id, function: said } of deltasSchema.parse(delta["tool_calls"] ?? [])) {
      const call = (calls[index] ??= { id: id ?? "", name: said.name ?? "", arguments: "" });
      call.arguments += said.arguments;
    }
  }
  return { calls, finishReason };
}

const deltasSchema = z.array(
  z.looseObject({
    index: z.int(),
    id: z.string().optional(),
    function: z.looseObject({ name: z.string().optional(), arguments: z.string() }),
  }),
);

describe("tools", () => {
  test("are called that the user's last message names, with arguments of their form", async () => {
    const body = { ...says("Please use get_weather."), tools: [weather, time] };
    const { tool_calls: calls, content, finishReason } = await answer(body);

    expect(calls.map((call) => call.function.name)).toEqual(["get_weather"]);
    expect(calls[0]?.id).toMatch(/^chatcmpl-tool-[0-9a-f]{32}$/);
    expect(JSON.parse(calls[0]?.function.arguments ?? "")).toEqual({
      city: expect.any(String),
      days: expect.any(Number),
    });
    expect([content, finishReason]).toEqual([null, "tool_calls"]);
  });

  test("are called several at a time, unless that is not wanted", async () => {
    const body = { ...says("get_weather and get_time"), tools: [weather, time] };
    const both = await answer(body);
    const one = await answer({ ...body, parallel_tool_calls: false });

    expect(both.tool_calls.map((call) => call.function.name)).toEqual(["get_weather", "get_time"]);
    expect(one.tool_calls).toHaveLength(1);
  });

  test("are called where one must be, and where one is chosen", async () => {
    const body = { ...says("Hello"), tools: [weather, time] };
    const must = await answer({ ...body, tool_choice: "required" });
    const chosen = await answer({
      ...body,
      tool_choice: { type: "function", function: { name: "get_time" } },
    });

    expect(must.tool_calls.map((call) => call.function.name)).toEqual(["get_weather"]);
    expect(chosen.tool_calls.map((call) => call.function.name)).toEqual(["get_time"]);
    expect([must.finishReason, chosen.finishReason]).toEqual(["tool_calls", "stop"]);
  });

  test.for<[string, object]>([
    ["that nobody names", says("Hello")],
    ["that are not to be", { ...says("Use get_weather"), tool_choice: "none" }],
    [
      "whose result is there",
      {
        messages: [
          { role: "user", content: "Use get_weather" },
          { role: "assistant", content: null, tool_calls: [{ id: "a", ...weather }] },
          { role: "tool", tool_call_id: "a", content: "sunny" },
        ],
      },
    ],
  ])("%s are not called", async ([, body]) => {
    const { tool_calls: calls, content } = await answer({
      ...body,
      tools: [weather],
      max_tokens: 9,
    });

    expect(calls).toEqual([]);
    expect(content?.length).toBeGreaterThan(5);
  });

  test("are called the same streamed and whole, in pieces", async () => {
    const body = { ...says("get_weather and get_time"), tools: [weather, time] };
    const whole = await answer(body);
    const { calls, finishReason } = await streamedCalls(body);

    expect(calls).toMatchObject(
      whole.tool_calls.map((call) => ({
        name: call.function.name,
        arguments: call.function.arguments,
      })),
    );
    expect(finishReason).toBe("tool_calls");
  });

  test("are described to the model, and cost tokens when called", async () => {
    const bare = await answer({ ...says("Hello"), max_tokens: 1 });
    const told = await answer({ ...says("Hello"), max_tokens: 1, tools: [weather] });
    const cut = await answer({ ...says("get_weather"), max_tokens: 12, tools: [weather] });

    expect(told.usage.prompt_tokens).toBeGreaterThan(bare.usage.prompt_tokens + 10);
    expect(told.usage.prompt_tokens).toBe(chatPromptIds(says("Hello").messages, [weather]).length);
    expect(cut).toMatchObject({ finishReason: "length", usage: { completion_tokens: 12 } });
  });

  test.for<[string, object, RegExp]>([
    ["a choice without tools", { tool_choice: "required" }, /tools` must be set/],
    [
      "a choice that is no tool",
      { tools: [weather], tool_choice: { type: "function", function: { name: "other" } } },
      /does not match any/,
    ],
  ])("refuse %s in vLLM's words", async ([, fields, message]) => {
    const response = await post(chat, { ...says("Hi"), ...fields });

    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(message);
  });
});

describe("an answer of a given form", () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer", minimum: 18, maximum: 20 } },
    required: ["name", "age"],
    additionalProperties: false,
  };

  test("is JSON of that form, the same each time, streamed or not", async () => {
    const body = { ...says("Who?"), ...format(schema) };
    const { content, finishReason } = await answer(body);
    const streamed = await postStreaming(chat, body);
    const { name, age, ...rest } = JSON.parse(content ?? "");

    expect([typeof name, rest]).toEqual(["string", {}]);
    expect([18, 19, 20]).toContain(age);
    expect(finishReason).toBe("stop");
    expect(streamed.text).toBe(content);
  });

  test("is another for another prompt", async () => {
    const texts = await Promise.all(
      ["a", "b", "c", "d"].map(
        async (content) => (await answer({ ...says(content), ...format(schema) })).content,
      ),
    );

    expect(new Set(texts).size).toBeGreaterThan(1);
  });

  test("is an object where nothing more is said", async () => {
    const { content } = await answer({ ...says("Hi"), response_format: { type: "json_object" } });

    expect(JSON.parse(content ?? "")).toMatchObject({ answer: expect.any(String) });
  });

  test("is asked for in vLLM's own way too", async () => {
    const { content } = await answer({ ...says("Hi"), structured_outputs: { json: { const: 7 } } });

    expect(content).toBe("7");
  });
});

describe("reasoning", () => {
  test.for([{ reasoning_effort: "low" }, { chat_template_kwargs: { enable_thinking: true } }])(
    "comes before the answer where %j asks for it",
    async (asked) => {
      const body = { ...says("Why?"), ...asked, max_tokens: 60 };
      const { reasoning, content } = await answer(body);
      const streamed = await postStreaming(chat, body);

      const promptIds = [...chatPromptIds(says("Why?").messages), ...tokenize(THOUGHT)];
      const maxTokens = 60 - tokenize(THOUGHT).length;
      expect(reasoning).toBe(THOUGHT);
      expect(content).toBe(expectedText({ promptIds, maxTokens }).text);
      expect(streamed.text).toBe(content);
      expect(
        streamed.chunks
          .map(({ choices }) => reasoningSchema.parse(choices[0]?.delta ?? {}).reasoning)
          .join(""),
      ).toBe(THOUGHT);
    },
  );

  test("comes before a call as well, and not where there is none to be", async () => {
    const body = { ...says("get_time"), tools: [time] };
    const called = await answer({ ...body, reasoning_effort: "high" });
    const plain = await answer({ ...body, reasoning_effort: "none" });

    expect(called).toMatchObject({ reasoning: THOUGHT, tool_calls: [{}] });
    expect(plain.reasoning).toBeNull();
  });
});

describe("makeInstance", () => {
  test.for<[string, JsonSchema, z.ZodType]>([
    ["an enumeration", { enum: ["a", "b"] }, z.enum(["a", "b"])],
    ["alternatives", { anyOf: [{ type: "null" }, { type: "boolean" }] }, z.boolean().nullable()],
    ["several types", { type: ["integer", "null"] }, z.int()],
    ["bounds", { type: "number", minimum: -2, maximum: -1 }, z.number().min(-2).max(-1)],
    ["an open bound", { type: "integer", exclusiveMinimum: 9 }, z.int().min(10)],
    ["a length", { type: "string", minLength: 80, maxLength: 90 }, z.string().min(80).max(90)],
    ["a list", { type: "array", items: { type: "integer" }, minItems: 2 }, z.array(z.int()).min(2)],
    ["anything", true, z.string()],
    [
      "parts together",
      {
        allOf: [
          { type: "object", properties: { a: { const: 1 } } },
          { type: "object", properties: { b: { const: 2 } } },
        ],
      },
      z.strictObject({ a: z.literal(1), b: z.literal(2) }),
    ],
    [
      "a tree that refers to itself",
      {
        $defs: {
          node: {
            type: "object",
            properties: {
              value: { type: "integer" },
              next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
            },
            required: ["value", "next"],
          },
        },
        $ref: "#/$defs/node",
      },
      z.looseObject({ value: z.int() }),
    ],
  ])("keeps to %s", ([, schema, form]) => {
    expect(form.safeParse(makeInstance(schema, counting())).error).toBeUndefined();
  });
});
