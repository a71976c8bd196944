import type { JobSpec } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { carriedFields, isContinuable } from "./continuable.ts";

type Fields = Readonly<Record<string, unknown>>;

const spec = (fields: Fields, options: Partial<JobSpec> = {}): JobSpec => ({
  tenant: "default",
  endpoint: "/v1/chat/completions",
  priority: "standard",
  on_retry: "continue",
  metadata: {},
  admit_ms: 0,
  request: { model: "m", messages: [{ role: "user", content: "Hi" }], ...fields },
  ...options,
});
const part = (type: string): object => ({ role: "user", content: [{ type, text: "Hi" }] });

describe("isContinuable", () => {
  test.for<Fields>([
    {},
    { temperature: 0.7, top_p: 0.9, top_k: 40, min_p: 0.1, repetition_penalty: 1.1 },
    { seed: 3, temperature: 0 },
    { max_tokens: 5, max_completion_tokens: 5, min_tokens: 1, stop: ["x"], ignore_eos: true },
    { stream: true, stream_options: { include_usage: true }, return_token_ids: true },
    { n: 1, logprobs: false, top_logprobs: 0, presence_penalty: 0, frequency_penalty: 0 },
    { tools: [], tool_choice: "none", response_format: { type: "text" } },
    { n: null, seed: null, tools: null, logprobs: null, anything: null },
    { messages: [part("text")] },
    { chat_template_kwargs: { enable_thinking: false } },
    { reasoning_effort: "low" },
  ])("is true of a text chat with %o", (fields) => {
    expect(isContinuable(spec(fields))).toBe(true);
  });

  test.for<Fields>([
    { n: 2 },
    { best_of: 2 },
    { max_completion_tokens: -1 },
    { stop: 1 },
    { include_stop_str_in_output: "true" },
    { seed: 3 },
    { seed: 3, temperature: 0.1 },
    { logprobs: true },
    { logprobs: 0 },
    { top_logprobs: 2 },
    { presence_penalty: 0.1 },
    { frequency_penalty: -0.1 },
    { tools: [{}] },
    { tool_choice: "required" },
    { response_format: { type: "json_schema" } },
    { structured_outputs: { regex: "a" } },
    { bad_words: ["x"] },
    { echo: true },
    { messages: [part("image_url")] },
    { prompt_logprobs: 1 },
    { something_new: 1 },
    { __proto__: null, constructor: 1 },
  ])("is false with %o", (fields) => {
    expect(isContinuable(spec(fields))).toBe(false);
  });

  test.for([
    ["a text", true],
    [[1, 2, 3], true],
    [["a text"], true],
    [["two", "texts"], false],
    [[[1], [2]], false],
  ] as const)("of a completion of %o is %s", ([prompt, expected]) => {
    const request = { model: "m", prompt };

    expect(isContinuable(spec({}, { endpoint: "/v1/completions", request }))).toBe(expected);
  });

  test.for(["reset", "fail"] as const)("is false where its owner wants %s", (onRetry) => {
    expect(isContinuable(spec({}, { on_retry: onRetry }))).toBe(false);
  });

  test("is false of embeddings", () => {
    const request = { model: "m", input: "a" };

    expect(isContinuable(spec({}, { endpoint: "/v1/embeddings", request }))).toBe(false);
  });
});

test("what samples is carried over, what shaped the prompt or counts is not", () => {
  const { request } = spec({
    temperature: 0,
    top_k: 4,
    max_tokens: 9,
    stop: "x",
    chat_template: "t",
  });

  expect(carriedFields(request)).toEqual({ model: "m", temperature: 0, top_k: 4 });
});
