import { PlatformError } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { readResponseRequest, toChatRequest } from "./chat-request.ts";

const MODEL = "acme/test-model";

const translate = (fields: object): Record<string, unknown> =>
  toChatRequest(readResponseRequest({ model: MODEL, input: "Hi", ...fields }));

/** The error that a request is refused with. */
function refused(fields: object): PlatformError {
  try {
    translate(fields);
  } catch (error) {
    if (error instanceof PlatformError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

const tool = {
  type: "function",
  name: "get_weather",
  description: "Tell the weather",
  parameters: { type: "object", properties: { city: { type: "string" } } },
  strict: true,
};
const call = { type: "function_call", call_id: "call_1", name: "get_weather", arguments: "{}" };
const callOutput = { type: "function_call_output", call_id: "call_1", output: "sunny" };

describe("a response's request becomes a chat's:", () => {
  test.for<[string, object, object]>([
    ["text", { input: "Hello" }, { messages: [{ role: "user", content: "Hello" }] }],
    [
      "instructions",
      { instructions: "Be brief" },
      {
        messages: [
          { role: "system", content: "Be brief" },
          { role: "user", content: "Hi" },
        ],
      },
    ],
    [
      "sampling",
      { temperature: 0.2, top_p: 0.9, max_output_tokens: 7 },
      { temperature: 0.2, top_p: 0.9, max_tokens: 7 },
    ],
    ["effort", { reasoning: { effort: "low", summary: "auto" } }, { reasoning_effort: "low" }],
    ["plain text", { text: { format: { type: "text" } } }, {}],
    [
      "JSON",
      { text: { format: { type: "json_object" } } },
      { response_format: { type: "json_object" } },
    ],
    [
      "a JSON schema",
      { text: { format: { type: "json_schema", name: "out", schema: { type: "object" } } } },
      {
        response_format: {
          type: "json_schema",
          json_schema: { name: "out", schema: { type: "object" } },
        },
      },
    ],
    [
      "tools",
      { tools: [tool], tool_choice: "required", parallel_tool_calls: false },
      {
        tools: [
          {
            type: "function",
            function: {
              name: "get_weather",
              description: "Tell the weather",
              parameters: tool.parameters,
              strict: true,
            },
          },
        ],
        tool_choice: "required",
        parallel_tool_calls: false,
      },
    ],
    [
      "a chosen tool",
      { tools: [{ type: "function", name: "f" }], tool_choice: { type: "function", name: "f" } },
      {
        tools: [{ type: "function", function: { name: "f" } }],
        tool_choice: { type: "function", function: { name: "f" } },
      },
    ],
    [
      "a tool that says what engines are not told",
      {
        tools: [
          {
            type: "function",
            name: "f",
            defer_loading: true,
            allowed_callers: ["direct", "programmatic"],
            async: false,
            output_schema: { type: "string" },
          },
        ],
      },
      { tools: [{ type: "function", function: { name: "f" } }] },
    ],
    ["no tools, and how to use them", { tools: [], tool_choice: "auto" }, {}],
    ["log probabilities", { top_logprobs: 3 }, { logprobs: true, top_logprobs: 3 }],
    [
      "log probabilities without alternatives",
      { include: ["message.output_text.logprobs"] },
      { logprobs: true, top_logprobs: 0 },
    ],
    ["fields of the engine's own", { seed: 4, top_k: 20 }, { seed: 4, top_k: 20 }],
    [
      "fields that engines are not told",
      { user: "u", safety_identifier: "s", prompt_cache_key: "k", metadata: { a: "b" } },
      {},
    ],
  ])("%s", ([, fields, expected]) => {
    const messages = [{ role: "user", content: "Hi" }];

    expect(translate(fields)).toEqual({ model: MODEL, messages, ...expected });
  });
});

describe("input items become messages:", () => {
  test.for<[string, object[], object[]]>([
    [
      "a message without a type",
      [{ role: "user", content: "a" }],
      [{ role: "user", content: "a" }],
    ],
    [
      "developer is system",
      [{ type: "message", role: "developer", content: [{ type: "input_text", text: "a" }] }],
      [{ role: "system", content: "a" }],
    ],
    [
      "several parts",
      [
        {
          role: "user",
          content: [
            { type: "input_text", text: "What is it?" },
            { type: "input_image", image_url: "https://example.com/a.png", detail: "low" },
          ],
        },
      ],
      [
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image_url", image_url: { url: "https://example.com/a.png", detail: "low" } },
          ],
        },
      ],
    ],
    [
      "what the model said before, as its response showed it",
      [
        { role: "user", content: "a" },
        {
          type: "reasoning",
          id: "rs_1",
          summary: [],
          content: [{ type: "reasoning_text", text: "hm" }],
        },
        {
          type: "message",
          id: "msg_1",
          status: "completed",
          role: "assistant",
          content: [{ type: "output_text", text: "b", annotations: [], logprobs: [] }],
        },
        { role: "user", content: "c" },
      ],
      [
        { role: "user", content: "a" },
        { role: "assistant", content: "b", reasoning: "hm" },
        { role: "user", content: "c" },
      ],
    ],
    [
      "calls of one turn are one message, each output its own",
      [
        call,
        { ...call, call_id: "call_2" },
        callOutput,
        { ...callOutput, call_id: "call_2", output: [{ type: "input_text", text: "rain" }] },
      ],
      [
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "get_weather", arguments: "{}" } },
            { id: "call_2", type: "function", function: { name: "get_weather", arguments: "{}" } },
          ],
        },
        { role: "tool", tool_call_id: "call_1", content: "sunny" },
        { role: "tool", tool_call_id: "call_2", content: "rain" },
      ],
    ],
    [
      "text before a call is of the same message, a second text is another",
      [
        { role: "assistant", content: "Let me see" },
        call,
        { role: "assistant", content: "Well" },
        { role: "assistant", content: "then" },
      ],
      [
        {
          role: "assistant",
          content: "Let me see",
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "get_weather", arguments: "{}" } },
          ],
        },
        { role: "assistant", content: "Well" },
        { role: "assistant", content: "then" },
      ],
    ],
    [
      "reasoning that led to nothing, or that is encrypted, is left out",
      [
        { type: "reasoning", summary: [], encrypted_content: "gAAA" },
        { role: "user", content: "a" },
        { type: "reasoning", summary: [{ type: "summary_text", text: "so" }] },
      ],
      [{ role: "user", content: "a" }],
    ],
  ])("%s", ([, input, messages]) => {
    expect(translate({ input })["messages"]).toEqual(messages);
  });
});

describe("is refused, by the field's name:", () => {
  test.for<[string, object, string, RegExp]>([
    ["no input", { input: undefined }, "input", /expected string or array, found nothing/],
    ["empty input", { input: [] }, "input", /at least 1/],
    ["input of a wrong type", { input: 7 }, "input", /found number/],
    ["an item that is no object", { input: ["a"] }, "input[0]", /expected object/],
    ["a role that is none", { input: [{ role: "tool", content: "a" }] }, "input[0].role", /user/],
    [
      "a message without content",
      { input: [{ role: "user" }] },
      "input[0].content",
      /found nothing/,
    ],
    [
      "a part of a wrong type",
      { input: [{ role: "user", content: [{ type: "input_text", text: 5 }] }] },
      "input[0].content[0].text",
      /expected string/,
    ],
    [
      "a file",
      { input: [{ role: "user", content: [{ type: "input_file", file_id: "f" }] }] },
      "input[0].content[0].type",
      /files are not read/,
    ],
    [
      "an image by its file",
      { input: [{ role: "user", content: [{ type: "input_image", file_id: "f" }] }] },
      "input[0].content[0].file_id",
      /send image_url/,
    ],
    [
      "an image without address",
      { input: [{ role: "user", content: [{ type: "input_image" }] }] },
      "input[0].content[0].image_url",
      /required/,
    ],
    [
      "an unknown item",
      { input: [{ type: "web_search_call", id: "ws" }] },
      "input[0].type",
      /expected message/,
    ],
    [
      "a reference",
      { input: [{ type: "item_reference", id: "msg_1" }] },
      "input[0].type",
      /send the item itself/,
    ],
    ["an output without its call", { input: [callOutput] }, "input[0].call_id", /no function_call/],
    ["a call without a name", { input: [{ ...call, name: "" }] }, "input[0].name", /at least 1/],
    ["a tool of OpenAI's", { tools: [{ type: "web_search" }] }, "tools[0].type", /only functions/],
    ["a tool's bad name", { tools: [{ ...tool, name: "a b" }] }, "tools[0].name", /letters/],
    ["a tool's unknown field", { tools: [{ ...tool, defer: 1 }] }, "tools[0].defer", /unknown/],
    [
      "a tool that only programs call",
      { tools: [{ ...tool, allowed_callers: ["programmatic"] }] },
      "tools[0].allowed_callers",
      /send "direct" too/,
    ],
    [
      "a tool whose answer is not waited for",
      { tools: [{ ...tool, async: true }] },
      "tools[0].async",
      /next request/,
    ],
    ["a choice without tools", { tool_choice: "required" }, "tool_choice", /send tools/],
    [
      "a choice that is no tool",
      { tools: [tool], tool_choice: { type: "function", name: "other" } },
      "tool_choice.name",
      /no tool has this name/,
    ],
    [
      "a choice of OpenAI's",
      { tools: [tool], tool_choice: { type: "allowed_tools", mode: "auto", tools: [] } },
      "tool_choice.type",
      /only a function/,
    ],
    ["an unknown format", { text: { format: { type: "xml" } } }, "text.format.type", /json_schema/],
    [
      "a schema without a name",
      { text: { format: { type: "json_schema", schema: {} } } },
      "text.format.name",
      /required/,
    ],
    ["verbosity", { text: { verbosity: "low" } }, "text.verbosity", /instructions/],
    ["a summary", { reasoning: { summary: "detailed" } }, "reasoning.summary", /content/],
    ["no tokens", { max_output_tokens: 0 }, "max_output_tokens", /at least 1/],
    ["a temperature too high", { temperature: 3 }, "temperature", /at most 2/],
    ["too many alternatives", { top_logprobs: 21 }, "top_logprobs", /at most 20/],
    ["an unknown inclusion", { include: ["everything"] }, "include[0]", /./],
    ["truncation", { truncation: "auto" }, "truncation", /shorten it/],
    ["a tier of OpenAI's", { service_tier: "scale" }, "service_tier", /flex/],
    [
      "obfuscation",
      { stream: true, stream_options: { include_obfuscation: true } },
      "stream_options.include_obfuscation",
      /not obfuscated/,
    ],
    ["options of no stream", { stream_options: {} }, "stream_options", /only streams/],
    ["a background response not stored", { background: true, store: false }, "store", /stored/],
    ["an earlier response", { previous_response_id: "resp_1" }, "previous_response_id", /input/],
    ["a conversation", { conversation: { id: "c" } }, "conversation", /earlier turns/],
    ["a prompt template", { prompt: { id: "p" } }, "prompt", /instructions/],
    ["a chat's limit", { max_tokens: 5 }, "max_tokens", /max_output_tokens/],
    ["a chat's format", { response_format: {} }, "response_format", /text.format/],
    ["a chat's messages", { messages: [] }, "messages", /use input/],
    ["several choices", { n: 2 }, "n", /one output/],
    ["a bound of the engine's", { seed: 1.5 }, "seed", /int/],
  ])("%s", ([, fields, param, message]) => {
    const error = refused(fields);

    expect(error).toMatchObject({ code: "request_invalid", param });
    expect(error.message).toMatch(message);
  });

  test("but not what is null, as OpenAI's clients send what is not given", () => {
    const nothing = Object.fromEntries(
      ["previous_response_id", "conversation", "prompt", "instructions", "tools", "text", "n"].map(
        (name) => [name, null],
      ),
    );

    const messages = [{ role: "user", content: "Hi" }];
    expect(translate(nothing)).toEqual({ model: MODEL, messages });
  });
});
