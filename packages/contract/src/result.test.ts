import { describe, expect, test } from "vitest";

import { ResultBuilder } from "./result.ts";

const head = { id: "chatcmpl-1", created: 7, model: "m" };
const call = (index: number, fields: object): object => ({ index, ...fields });
const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };

describe("ResultBuilder", () => {
  test("makes a chat completion of its deltas", () => {
    const result = new ResultBuilder("/v1/chat/completions");
    result.addChoices([
      { index: 0, delta: { role: "assistant", content: "" }, finish_reason: null },
    ]);
    result.addChoices([{ index: 0, delta: { content: "Hi" }, finish_reason: null }]);
    result.addChoices([{ index: 0, delta: {}, finish_reason: "stop", stop_reason: null }]);

    expect(result.build(head, usage)).toEqual({
      ...head,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hi" },
          finish_reason: "stop",
          stop_reason: null,
        },
      ],
      usage,
    });
  });

  test("orders choices by index, whichever spoke first", () => {
    const result = new ResultBuilder("/v1/completions");
    result.addChoices([{ index: 1, text: "b", finish_reason: "stop" }]);
    result.addChoices([{ index: 0, text: "a", finish_reason: "length" }]);

    expect(result.build(head, null)).toMatchObject({
      object: "text_completion",
      choices: [
        { index: 0, text: "a", finish_reason: "length" },
        { index: 1, text: "b", finish_reason: "stop" },
      ],
    });
  });

  test("appends logprobs and token ids, and joins tool calls by index", () => {
    const result = new ResultBuilder("/v1/chat/completions");
    result.addChoices([
      {
        index: 0,
        logprobs: { content: [{ token: "a" }] },
        token_ids: [1],
        delta: {
          tool_calls: [
            call(0, { id: "x", type: "function", function: { name: "f", arguments: "{" } }),
          ],
        },
      },
    ]);
    result.addChoices([
      {
        index: 0,
        logprobs: { content: [{ token: "b" }] },
        token_ids: [2],
        delta: {
          tool_calls: [
            call(0, { function: { arguments: "}" } }),
            call(1, { id: "y", type: "function", function: { name: "g", arguments: "[]" } }),
          ],
        },
        finish_reason: "tool_calls",
      },
    ]);

    expect(result.build(head, null)).toMatchObject({
      choices: [
        {
          logprobs: { content: [{ token: "a" }, { token: "b" }] },
          token_ids: [1, 2],
          finish_reason: "tool_calls",
          message: {
            content: null,
            tool_calls: [
              { id: "x", type: "function", function: { name: "f", arguments: "{}" } },
              { id: "y", type: "function", function: { name: "g", arguments: "[]" } },
            ],
          },
        },
      ],
    });
  });

  test("forgets what a reset voids", () => {
    const result = new ResultBuilder("/v1/completions");
    result.addChoices([{ index: 0, text: "void" }]);
    result.reset();
    result.addChoices([{ index: 0, text: "stands" }]);

    expect(result.build(head, null)).toMatchObject({ choices: [{ text: "stands" }] });
  });

  test("passes vectors on", () => {
    const result = new ResultBuilder("/v1/embeddings");
    result.addData([{ object: "embedding", index: 0, embedding: [0.5] }]);

    expect(result.build(head, usage)).toEqual({
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: [0.5] }],
      model: "m",
      usage,
    });
  });
});
