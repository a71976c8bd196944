import { describe, expect, test } from "vitest";

import type { Endpoint } from "./request.ts";
import { estimateTokens } from "./token-estimate.ts";

const CHAT = "/v1/chat/completions";
const COMPLETION = "/v1/completions";
const EMBEDDING = "/v1/embeddings";
const messages = [{ role: "user", content: "x".repeat(40) }];

describe("estimateTokens", () => {
  test.for<[string, Endpoint, object, [number, number]]>([
    ["a chat by its text", CHAT, { messages, max_tokens: 7 }, [14, 7]],
    ["text by its bytes", CHAT, { messages: [{ role: "user", content: "日本" }] }, [6, 1_024]],
    [
      "the larger of two bounds, whichever an engine heeds",
      CHAT,
      { messages, max_completion_tokens: 3, max_tokens: 7 },
      [14, 7],
    ],
    ["a bound that is null as none", CHAT, { messages, max_tokens: null }, [14, 1_024]],
    ["each choice", CHAT, { messages, max_tokens: 7, n: 3 }, [14, 21]],
    [
      "parts, and an image by the thousand",
      CHAT,
      {
        messages: [
          { role: "user", content: [{ type: "text", text: "abcd" }, { type: "image_url" }] },
        ],
      },
      [1_005, 1_024],
    ],
    ["no less than it must be", CHAT, { messages, max_tokens: 7, min_tokens: 9 }, [14, 9]],
    [
      "an image that says something",
      CHAT,
      {
        messages: [{ role: "user", content: [{ type: "image_url", text: "abcd" }] }],
        max_tokens: 1,
      },
      [1_005, 1],
    ],
    [
      "calls of tools, and thoughts",
      CHAT,
      {
        messages: [
          {
            role: "assistant",
            tool_calls: [{ function: { arguments: "x".repeat(400) } }],
            reasoning_content: "x".repeat(398),
          },
        ],
        max_tokens: 1,
      },
      [212, 1],
    ],
    [
      "a schema",
      CHAT,
      { messages, max_tokens: 1, response_format: { json_schema: "x".repeat(383) } },
      [115, 1],
    ],
    [
      "a message that says nothing",
      CHAT,
      { messages: [{ role: "assistant" }], max_tokens: 1 },
      [4, 1],
    ],
    ["tools as they are written", CHAT, { messages: [], max_tokens: 1, tools: ["abcd"] }, [2, 1]],
    ["a completion that sets no bound", COMPLETION, { prompt: "abcd" }, [1, 16]],
    ["token ids one by one", COMPLETION, { prompt: [1, 2, 3], max_tokens: 5 }, [3, 5]],
    [
      "each of many prompts, and the best of many",
      COMPLETION,
      { prompt: ["abcd", "efgh"], max_tokens: 5, best_of: 2 },
      [2, 20],
    ],
    ["each of many prompts of ids", COMPLETION, { prompt: [[1, 2], [3]], max_tokens: 5 }, [3, 10]],
    ["no output of an embedding", EMBEDDING, { input: ["abcd", "abcde"] }, [3, 0]],
  ])("counts %s", ([_what, endpoint, request, [promptTokens, outputTokens]]) => {
    const estimate = estimateTokens(endpoint, { model: "m", ...request });

    expect(estimate).toEqual({ promptTokens, outputTokens });
  });
});
