import { expect, test } from "vitest";

import { toTextLine } from "./answer-text.ts";

const lineOf = (body: object, status = 200): string =>
  JSON.stringify({
    id: "batch_req_1",
    custom_id: "a",
    response: { status_code: status, request_id: "r", body },
    error: null,
  });

test.for<[string, object, object]>([
  [
    "a chat",
    { choices: [{ message: { content: "hi" }, finish_reason: "length" }] },
    { text: "hi", finish_reason: "length" },
  ],
  [
    "two completions",
    { choices: [{ text: "x", finish_reason: "stop" }, { text: "y" }] },
    { text: "x", finish_reason: "stop", texts: ["x", "y"] },
  ],
  [
    "a call of a tool",
    { choices: [{ message: { content: null, tool_calls: [] }, finish_reason: "tool_calls" }] },
    { text: null, finish_reason: "tool_calls" },
  ],
  ["a vector", { data: [{ embedding: [1, 2] }] }, { embedding: [1, 2] }],
  [
    "a response",
    {
      status: "completed",
      output: [{ type: "reasoning" }, { type: "message", content: [{ text: "a" }, { text: "b" }] }],
    },
    { text: "ab", finish_reason: "stop" },
  ],
])("of %s the text is told", ([, body, answer]) => {
  expect(JSON.parse(toTextLine(lineOf(body)))).toEqual({ custom_id: "a", ...answer });
});

test("of a request that failed the error is told", () => {
  const error = { message: "no", code: "model_not_found" };

  expect(JSON.parse(toTextLine(lineOf({ error }, 404)))).toEqual({ custom_id: "a", error });
});
