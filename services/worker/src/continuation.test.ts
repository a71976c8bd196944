import type { JobSpec } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { Continuation } from "./continuation.ts";
import { CannotContinue, type Seam } from "./seam.ts";

const chat: JobSpec = {
  tenant: "default",
  endpoint: "/v1/chat/completions",
  priority: "standard",
  on_retry: "continue",
  metadata: {},
  admit_ms: 0,
  request: { model: "m", messages: [], temperature: 0.5 },
};
const completion: JobSpec = { ...chat, endpoint: "/v1/completions", request: { model: "m" } };
const seam: Seam = {
  promptIds: [7, 8],
  ids: [1, 2, 3],
  text: "Hello",
  shownLength: 3,
  finishReason: null,
};
const asking = (spec: JobSpec, fields: object, length: number | null = 100): unknown =>
  new Continuation({ ...spec, request: { ...spec.request, ...fields } }, seam, length).request;

describe("what the engine is asked for", () => {
  test("is a completion of all ids so far", () => {
    expect(asking(chat, { max_tokens: 10, stop: "x", chat_template: "t" })).toEqual({
      model: "m",
      temperature: 0.5,
      prompt: [7, 8, 1, 2, 3],
      max_tokens: 7,
    });
  });

  test.for([
    ["the limit", chat, { max_tokens: 10 }, 100, 7],
    ["the newer name of the limit", chat, { max_completion_tokens: 9, max_tokens: 50 }, 100, 6],
    ["the model's length", chat, {}, 100, 95],
    ["the model's length, which is less", chat, { max_tokens: 500 }, 100, 95],
    ["the limit, where the length is unknown", chat, { max_tokens: 10 }, null, 7],
    ["what completions are without a limit", completion, {}, 100, 13],
  ] as const)("is what is left of %s", ([, spec, fields, length, expected]) => {
    expect(asking(spec, fields, length)).toMatchObject({ max_tokens: expected });
  });

  test("has what is left of min_tokens", () => {
    expect(asking(chat, { min_tokens: 5 })).toMatchObject({ min_tokens: 2 });
    expect(asking(chat, { min_tokens: 3 })).not.toHaveProperty("min_tokens");
  });

  test("is nothing when nothing is left", () => {
    expect(asking(chat, { max_tokens: 3 })).toBeNull();
    expect(asking(chat, {}, 5)).toBeNull();
  });

  test("is unknown when nobody says how long the output may be", () => {
    expect(() => asking(chat, {}, null)).toThrow(CannotContinue);
  });
});

describe("what readers are told", () => {
  test("is what they lack, then the rest, as the job's endpoint says it", () => {
    const goingOn = new Continuation(chat, seam, 100);
    const rest = [{ index: 0, text: " you", finish_reason: "stop", stop_reason: 4 }];

    expect(goingOn.begin()).toMatchObject([{ delta: { content: "lo" }, finish_reason: null }]);
    expect(goingOn.take(rest, [4])).toEqual([
      {
        index: 0,
        delta: { content: " you" },
        logprobs: null,
        finish_reason: "stop",
        stop_reason: 4,
        token_ids: null,
      },
    ]);
    expect(new Continuation(completion, seam, 100).begin()).toMatchObject([{ text: "lo" }]);
  });

  test("is the end at once when nothing is left to generate", () => {
    const goingOn = new Continuation(
      { ...chat, request: { ...chat.request, max_tokens: 3 } },
      seam,
      9,
    );

    expect(goingOn.begin()).toMatchObject([
      { delta: { content: "lo" }, finish_reason: "length", stop_reason: null },
    ]);
    expect(goingOn.usage(null)).toEqual({
      prompt_tokens: 2,
      completion_tokens: 3,
      total_tokens: 5,
    });
  });

  test("is nothing more when they have been told the end", () => {
    const goingOn = new Continuation(chat, { ...seam, shownLength: 5, finishReason: "stop" }, null);

    expect(goingOn.request).toBeNull();
    expect(goingOn.begin()).toEqual([]);
  });

  test("ends at a stop string, which the engine does not know of", () => {
    const request = { ...chat.request, stop: ["o y"] };
    const goingOn = new Continuation({ ...chat, request }, seam, 100);

    expect(goingOn.begin()).toEqual([]);
    expect(goingOn.take([{ index: 0, text: " you" }], [4])).toMatchObject([
      { delta: { content: "l" }, finish_reason: "stop", stop_reason: "o y" },
    ]);
    expect(goingOn.isOver).toBe(true);
    expect(goingOn.usage(null).completion_tokens).toBe(4);
  });
});
