import { ResultBuilder, type ChoiceDelta } from "@headrace/contract";
import { describe, expect, test } from "vitest";

import { carriesOutput, OutputBuffer } from "./output-buffer.ts";

const says = (content: string, index = 0): ChoiceDelta => ({
  index,
  delta: { content },
  logprobs: null,
  finish_reason: null,
});

function entriesOf(...events: ChoiceDelta[][]): ChoiceDelta[][] {
  const buffer = new OutputBuffer();
  for (const event of events) buffer.add(event);
  return buffer.take().map(({ data }) => JSON.parse(data));
}

describe("OutputBuffer", () => {
  test("joins text that came between two writes into one entry", () => {
    const role: ChoiceDelta = { index: 0, delta: { role: "assistant", content: "" } };

    expect(entriesOf([role], [says("Hel")], [says("lo")])).toEqual([
      [
        {
          index: 0,
          delta: { role: "assistant", content: "Hello" },
          logprobs: null,
          finish_reason: null,
        },
      ],
    ]);
  });

  test("joins completions' text, and carries why it ended", () => {
    const last: ChoiceDelta = { index: 0, text: "b", finish_reason: "stop", stop_reason: "END" };

    expect(entriesOf([{ index: 0, text: "a", finish_reason: null }], [last])).toEqual([
      [{ index: 0, text: "ab", finish_reason: "stop", stop_reason: "END" }],
    ]);
  });

  test("keeps several choices apart within one entry", () => {
    expect(entriesOf([says("a", 0)], [says("b", 1)], [says("c", 0)])).toMatchObject([
      [
        { index: 0, delta: { content: "ac" } },
        { index: 1, delta: { content: "b" } },
      ],
    ]);
  });

  test.each([
    ["tool calls", { delta: { tool_calls: [{ index: 0, function: { arguments: "{" } }] } }],
    ["logprobs", { delta: { content: "x" }, logprobs: { content: [{ token: "x" }] } }],
    ["token ids", { delta: { content: "x" }, token_ids: [7] }],
    ["anything unknown", { delta: { content: "x", audio: { id: "a" } } }],
  ])("never merges %s", (_what, fields) => {
    const special = { index: 0, finish_reason: null, ...fields };

    expect(entriesOf([says("a")], [special], [says("b")])).toEqual([
      [says("a")],
      [special],
      [says("b")],
    ]);
  });

  test("says nothing after a choice has ended", () => {
    const end = { ...says("."), finish_reason: "stop" };

    expect(entriesOf([end], [says("more")])).toEqual([[end], [says("more")]]);
  });

  test("loses nothing of a stream, however it is cut into writes", () => {
    const stream: ChoiceDelta[] = [
      { index: 0, delta: { role: "assistant", content: "" } },
      { index: 0, delta: { reasoning: "Let me " } },
      { index: 0, delta: { reasoning: "think." } },
      ...["It ", "is ", "42"].map((text) => says(text)),
      { index: 0, delta: { tool_calls: [{ index: 0, id: "c", function: { arguments: "{" } }] } },
      { index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: "}" } }] } },
      { index: 0, delta: {}, finish_reason: "tool_calls" },
    ];
    const results = [1, 2, 3, stream.length].map((writes) => {
      const buffer = new OutputBuffer();
      const result = new ResultBuilder("/v1/chat/completions");
      for (const [at, choice] of stream.entries()) {
        buffer.add([structuredClone(choice)]);
        if (at % writes === 0)
          for (const { data } of buffer.take()) result.addChoices(JSON.parse(data));
      }
      for (const { data } of buffer.take()) result.addChoices(JSON.parse(data));
      return result.build({ id: "x", created: 0, model: "m" }, null);
    });

    expect(results).toEqual(results.map(() => results[0]));
    expect(results[0]).toMatchObject({
      choices: [
        {
          finish_reason: "tool_calls",
          message: {
            role: "assistant",
            content: "It is 42",
            reasoning: "Let me think.",
            tool_calls: [{ id: "c", function: { arguments: "{}" } }],
          },
        },
      ],
    });
  });
});

describe("OutputBuffer that keeps token ids", () => {
  test("puts them beside the entry they belong to, what came before them first", () => {
    const buffer = new OutputBuffer();
    buffer.keepIds({ prompt: [7, 8] });
    buffer.add([{ index: 0, delta: { role: "assistant", content: "" } }], []);
    buffer.add([says("a")], [1]);
    buffer.add([says("b")], [2, 3]);
    const first = buffer.take();
    buffer.add([says("c")], [4]);

    expect(first.map(({ ids }) => ids)).toEqual(["7,8;1,2,3"]);
    expect(buffer.take().map(({ ids }) => ids)).toEqual(["4"]);
  });

  test("says where it goes on", () => {
    const buffer = new OutputBuffer();
    buffer.keepIds({ position: 5 });
    buffer.add([says("a")], []);

    expect(buffer.take().map(({ ids }) => ids)).toEqual(["@5;"]);
  });

  test("keeps none of a prompt too long to be kept", () => {
    const buffer = new OutputBuffer();
    buffer.keepIds({ prompt: Array.from({ length: 262_145 }, (_, id) => id) });
    buffer.add([says("a")], [1]);

    expect(buffer.keepsIds).toBe(false);
    expect(buffer.take()[0]).not.toHaveProperty("ids");
  });

  test("keeps none unless it is told to", () => {
    const buffer = new OutputBuffer();
    buffer.add([says("a")], [1]);

    expect(buffer.take()).toEqual([{ type: "delta", data: JSON.stringify([says("a")]) }]);
  });
});

describe("carriesOutput", () => {
  test.each([
    ["a role alone", { delta: { role: "assistant", content: "" } }, false],
    ["content", { delta: { content: "a" } }, true],
    ["reasoning", { delta: { reasoning: "a" } }, true],
    ["a tool call", { delta: { tool_calls: [{}] } }, true],
    ["text", { text: "a" }, true],
    ["an end without a word", { delta: {}, finish_reason: "stop" }, true],
  ])("says of %s: %o → %s", (_what, fields, expected) => {
    expect(carriesOutput([{ index: 0, ...fields }])).toBe(expected);
  });
});
