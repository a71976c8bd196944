import { describe, expect, test } from "vitest";

import { answers, CHAT, event, RecordingSink, streams, TestEngine } from "./test-engine.ts";

const never = new AbortController().signal;
const head = { id: "chatcmpl-1", model: "m" };
const says = (content: string, ids: number[], reason: string | null = null): object => ({
  ...head,
  choices: [{ index: 0, delta: { content }, finish_reason: reason, token_ids: ids }],
});
const OPENING = {
  ...head,
  choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }],
  prompt_token_ids: [7, 8],
};
const chat = [OPENING, says("", [1]), says("a", [2, 3], "stop"), "[DONE]"].map(event).join("");
const completion = [
  { index: 0, text: "a", finish_reason: null, token_ids: [1], prompt_token_ids: [7, 8] },
  { index: 0, text: "b", finish_reason: "stop", token_ids: [2], prompt_token_ids: null },
];
const completions = [...completion.map((choice) => ({ ...head, choices: [choice] })), "[DONE]"]
  .map(event)
  .join("");

describe("token ids", () => {
  test("are asked for and handed over apart, so that nobody else sees them", async () => {
    await using server = await TestEngine.start(streams(chat));
    const sink = new RecordingSink();

    await server.engine.stream({ ...CHAT, wantsTokenIds: true }, sink, never);

    expect(server.requests[0]?.body).toMatchObject({ return_token_ids: true });
    expect(sink.promptIds).toEqual([7, 8]);
    expect(sink.ids).toEqual([1, 2, 3]);
    expect(sink.events.slice(1)).toEqual([
      [{ index: 0, delta: { content: "" }, finish_reason: null, token_ids: null }],
      [{ index: 0, delta: { content: "a" }, finish_reason: "stop", token_ids: null }],
    ]);
  });

  test("of a completion's prompt are handed over apart too", async () => {
    await using server = await TestEngine.start(streams(completions));
    const sink = new RecordingSink();
    const body = { model: "m", prompt: "p" };
    const request = { ...CHAT, endpoint: "/v1/completions", body, wantsTokenIds: true } as const;

    await server.engine.stream(request, sink, never);

    expect(sink.promptIds).toEqual([7, 8]);
    expect(sink.ids).toEqual([1, 2]);
    expect(JSON.stringify(sink.events)).not.toMatch(/[1278]/);
  });

  test("stay in the choices for a caller who asked for them", async () => {
    await using server = await TestEngine.start(streams(chat));
    const sink = new RecordingSink();
    const body = { ...CHAT.body, return_token_ids: true };

    await server.engine.stream({ ...CHAT, body, wantsTokenIds: true }, sink, never);

    expect(sink.ids).toEqual([1, 2, 3]);
    expect(sink.events.at(-1)).toMatchObject([{ token_ids: [2, 3] }]);
  });

  test("of a long prompt are read, though they make one long event", async () => {
    const prompt = Array.from({ length: 300_000 }, (_, id) => 100_000 + id);
    const opening = event({ ...OPENING, prompt_token_ids: prompt });
    const rest = [says("a", [1], "stop"), "[DONE]"].map(event).join("");
    await using server = await TestEngine.start(streams(opening + rest), {
      maxOutputBytes: 10_000_000,
    });
    const sink = new RecordingSink();

    await server.engine.stream({ ...CHAT, wantsTokenIds: true }, sink, never);

    expect(sink.promptIds).toHaveLength(300_000);
  });

  test("are neither asked for nor looked at otherwise", async () => {
    await using server = await TestEngine.start(streams(chat));
    const sink = new RecordingSink();

    await server.engine.stream(CHAT, sink, never);

    expect(server.requests[0]?.body).not.toHaveProperty("return_token_ids");
    expect(sink).toMatchObject({ promptIds: null, ids: [] });
    expect(sink.events.at(-1)).toMatchObject([{ token_ids: [2, 3] }]);
  });
});

describe("detokenize", () => {
  test("gives the text of ids", async () => {
    await using server = await TestEngine.start(answers(200, { prompt: "Hé\uFFFD" }));

    const text = await server.engine.detokenize("m", [1, 2], never);

    expect(text).toBe("Hé\uFFFD");
    expect(server.requests[0]).toMatchObject({
      url: "/detokenize",
      body: { model: "m", tokens: [1, 2] },
    });
  });

  test.for([
    [404, { detail: "Not Found" }, "engine_rejected"],
    [500, {}, "engine_failed"],
    [200, { text: "no prompt" }, "engine_failed"],
  ] as const)("fails on %s %o as %s", async ([status, body, code]) => {
    await using server = await TestEngine.start(answers(status, body));

    await expect(server.engine.detokenize("m", [1], never)).rejects.toMatchObject({ code });
  });
});
