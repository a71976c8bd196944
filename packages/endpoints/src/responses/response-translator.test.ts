import { describe, expect, test } from "vitest";

import { ResponseTranslator } from "./response-translator.ts";
import { attempt, ends, entry, responseJob, says, tell } from "./test-translation.ts";

const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const FINISH = (id: string, reason: string) => says(id, {}, { finish_reason: reason });
const token = (name: string) => ({ token: name, logprob: -1, bytes: null, top_logprobs: [] });
const typesOf = (events: readonly { readonly type: string }[]): string[] =>
  events.map(({ type }) => type);

const text = [
  attempt(1),
  says("1-1", { role: "assistant", content: "" }),
  says("1-2", { content: "Hel" }),
  says("1-3", { content: "lo" }),
  FINISH("1-4", "stop"),
  ends("1-5", "completed", { usage: USAGE }),
];

describe("a text", () => {
  test("is told in OpenAI's events, in their order, numbered from 0 on", () => {
    const events = tell(responseJob(), text);

    expect(typesOf(events)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, at) => at));
    expect(events[4]).toMatchObject({ delta: "Hel", output_index: 0, content_index: 0 });
    expect(events[6]).toMatchObject({ text: "Hello" });
    expect(events[3]).toMatchObject({ part: { type: "output_text", text: "" } });
  });

  test("is in the response, with usage in its words", () => {
    const job = responseJob();
    const translator = new ResponseTranslator(job);
    for (const each of text) translator.take(each);

    expect(translator.response).toMatchObject({
      id: job.id.replace("job_", "resp_"),
      object: "response",
      status: "completed",
      created_at: 1_764_000_000,
      completed_at: 1_764_000_002,
      output: [
        {
          type: "message",
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "Hello", annotations: [], logprobs: [] }],
        },
      ],
      usage: {
        input_tokens: 3,
        input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        output_tokens: 2,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 5,
      },
    });
  });

  test("begins as queued in the background", () => {
    const events = tell(responseJob({}, { isBackground: true }), text);

    expect(events.slice(0, 4)).toMatchObject([
      { type: "response.created", sequence_number: 0, response: { status: "queued" } },
      { type: "response.queued", sequence_number: 1, response: { status: "queued" } },
      { type: "response.in_progress", sequence_number: 2, response: { status: "in_progress" } },
      { type: "response.output_item.added", sequence_number: 3 },
    ]);
  });

  test("that was cut at its limit is incomplete", () => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", { content: "Hel" }),
      FINISH("1-2", "length"),
      ends("1-3", "completed"),
    ]);

    expect(events.at(-2)).toMatchObject({ item: { status: "incomplete" } });
    expect(events.at(-1)).toMatchObject({
      type: "response.incomplete",
      response: { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
    });
  });

  test("of no words is a message all the same", () => {
    const events = tell(responseJob(), [
      attempt(1),
      FINISH("1-1", "stop"),
      ends("1-2", "completed"),
    ]);

    expect(events.at(-1)).toMatchObject({
      response: { output: [{ type: "message", content: [{ text: "" }] }] },
    });
  });

  test("has its log probabilities, those of held-back tokens with the text that follows", () => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", { content: "" }, { logprobs: { content: [token("a")] } }),
      says("1-2", { content: "ab" }, { logprobs: { content: [token("b")] } }),
      says("1-3", { content: "" }, { logprobs: { content: [token("c")] }, finish_reason: "stop" }),
      ends("1-4", "completed"),
    ]);

    expect(events.find(({ type }) => type === "response.output_text.delta")).toMatchObject({
      logprobs: [token("a"), token("b")],
    });
    expect(events.find(({ type }) => type === "response.output_text.done")).toMatchObject({
      logprobs: [token("a"), token("b"), token("c")],
    });
    expect(events.find(({ type }) => type === "response.content_part.added")).toMatchObject({
      part: { logprobs: [] },
    });
  });
});

test.for(["reasoning", "reasoning_content"])(
  "reasoning (%s) is an item before the text",
  (field) => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", { [field]: "Hm" }),
      says("1-2", { [field]: "m" }, { logprobs: { content: [{ token: "m" }] } }),
      says("1-3", { content: "Yes" }),
      FINISH("1-4", "stop"),
      ends("1-5", "completed"),
    ]);

    expect(typesOf(events).slice(2, 10)).toEqual([
      "response.output_item.added",
      "response.content_part.added",
      "response.reasoning_text.delta",
      "response.reasoning_text.delta",
      "response.reasoning_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.output_item.added",
    ]);
    expect(events.at(-1)).toMatchObject({
      response: {
        output: [
          { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "Hmm" }] },
          { type: "message", content: [{ text: "Yes", logprobs: [] }] },
        ],
      },
    });
  },
);

const call = (index: number, id: string, name: string) => ({
  tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }],
});
const more = (index: number, text_: string) => ({
  tool_calls: [{ index, function: { arguments: text_ } }],
});

const repeated = (id: string, name: string, given: string) => ({
  tool_calls: [{ index: 0, id, function: { name, arguments: given } }],
});

describe("tool calls", () => {
  test("are items, one after the other, the white space of the engine between them kept apart", () => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", call(0, "call_a", "f")),
      says("1-2", more(0, '{"x"')),
      says("1-3", { content: "\n" }),
      says("1-4", more(0, ":1}")),
      says("1-5", call(1, "call_b", "g")),
      says("1-6", more(1, "{}")),
      FINISH("1-7", "tool_calls"),
      ends("1-8", "completed"),
    ]);

    const response = events.at(-1);
    expect(response).toMatchObject({
      type: "response.completed",
      response: {
        output: [
          { type: "function_call", call_id: "call_a", name: "f", arguments: '{"x":1}' },
          { type: "message", content: [{ text: "\n" }] },
          { type: "function_call", call_id: "call_b", name: "g", arguments: "{}" },
        ],
      },
    });
    expect(typesOf(events).filter((type) => type.includes("item"))).toEqual([
      "response.output_item.added",
      "response.output_item.added",
      "response.output_item.done",
      "response.output_item.done",
      "response.output_item.added",
      "response.output_item.done",
    ]);
    expect(
      events.filter(({ type }) => type === "response.function_call_arguments.done"),
    ).toMatchObject([{ arguments: '{"x":1}' }, { arguments: "{}" }]);
  });

  test("come whole as well, several in one delta", () => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", {
        tool_calls: [
          { index: 0, id: "a", function: { name: "f", arguments: "{}" } },
          { index: 1, function: { name: "g", arguments: "[]" } },
        ],
      }),
      ends("1-2", "completed"),
    ]);

    expect(events.at(-1)).toMatchObject({
      response: {
        output: [
          { call_id: "a", name: "f", arguments: "{}" },
          { call_id: expect.stringMatching(/^call_\w+_1$/), name: "g", arguments: "[]" },
        ],
      },
    });
  });

  test("are told apart by their ids where they share an index, and repeat them at will", () => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", repeated("a", "f", "{")),
      says("1-2", repeated("a", "f", "}")),
      says("1-3", repeated("b", "g", "{}")),
      ends("1-4", "completed"),
    ]);

    expect(events.at(-1)).toMatchObject({
      response: {
        output: [
          { call_id: "a", name: "f", arguments: "{}" },
          { call_id: "b", name: "g", arguments: "{}" },
        ],
      },
    });
  });

  test("that go on after a later one began are no calls", () => {
    const entries = [attempt(1), says("1-1", call(0, "a", "f")), says("1-2", call(1, "b", "f"))];

    expect(() => tell(responseJob(), [...entries, says("1-3", more(0, "{}"))])).toThrow(TypeError);
  });
});

describe("a response that does not complete", () => {
  test("fails with an error event, then with what it had said", () => {
    const error = { message: "it broke", type: "server_error", param: null, code: "engine_failed" };
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", { content: "Hel" }),
      ends("1-2", "failed", { error }),
    ]);

    expect(events.slice(-2)).toMatchObject([
      { type: "error", code: "engine_failed", message: "it broke", param: null, error },
      {
        type: "response.failed",
        response: {
          status: "failed",
          error: { code: "server_error", message: "it broke" },
          output: [{ status: "incomplete", content: [{ text: "Hel" }] }],
        },
      },
    ]);
  });

  test("fails when it had not started in time", () => {
    const end = ends("0-1", "expired", { error: "deadline_exceeded" });

    expect(tell(responseJob(), [end])).toMatchObject([
      { type: "response.created", sequence_number: 0 },
      { type: "error", sequence_number: 2, code: "deadline_exceeded" },
      { type: "response.failed", sequence_number: 3 },
    ]);
  });

  test("is cancelled in an event that OpenAI has", () => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", { content: "Hel" }),
      ends("1-2", "cancelled"),
    ]);

    expect(events.at(-1)).toMatchObject({
      type: "response.incomplete",
      response: { status: "cancelled", error: null, incomplete_details: null },
    });
  });
});

describe("a second attempt", () => {
  test("that goes on is not told of; its events have numbers of their own", () => {
    const events = tell(responseJob(), [
      attempt(1),
      says("1-1", { content: "Hel" }),
      attempt(2, { from: 1 }),
      says("2-1", { content: "lo" }),
      ends("2-2", "completed"),
    ]);

    const deltas = events.filter(({ type }) => type === "response.output_text.delta");
    expect(deltas).toMatchObject([
      { delta: "Hel", sequence_number: 4 },
      { delta: "lo", sequence_number: 2 ** 24 + 2 },
    ]);
    expect(typesOf(events).filter((type) => type === "response.in_progress")).toHaveLength(1);
  });

  test("that starts over voids what was told", () => {
    const translator = new ResponseTranslator(responseJob());
    const restart = attempt(2, { reset: true });

    expect(translator.isVoiding(restart)).toBe(false);
    for (const each of [attempt(1), says("1-1", { content: "Hel" })]) translator.take(each);
    expect(translator.isVoiding(restart)).toBe(true);
    for (const each of [restart, says("2-1", { content: "Ho" }), ends("2-2", "completed")]) {
      translator.take(each);
    }
    expect(translator.response.output).toMatchObject([{ content: [{ text: "Ho" }] }]);
  });

  test("after one that said nothing begins as the first would have", () => {
    const first = tell(responseJob(), text);
    const later = tell(responseJob(), [
      attempt(1_002),
      says("1002-1", { content: "Hello" }),
      ends("1002-2", "completed"),
    ]);

    expect(later[1]).toMatchObject({ type: "response.in_progress", sequence_number: 1 });
    expect(later[2]?.sequence_number).toBe(1_001 * 2 ** 24 + 2);
    expect(typesOf(later).slice(0, 4)).toEqual(typesOf(first).slice(0, 4));
  });
});

test("vectors are no response", () => {
  expect(() => tell(responseJob(), [attempt(1), entry("1-1", "vectors", [])])).toThrow(TypeError);
});

test("shows a job's request as the response's own", () => {
  const job = responseJob({
    max_tokens: 9,
    temperature: 0.5,
    reasoning_effort: "high",
    tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
    response_format: { type: "json_schema", json_schema: { name: "s", schema: {} } },
  });
  const spec = job.spec.response;
  if (spec === undefined) throw new Error("not a response");
  const messages = [
    { role: "system", content: "Be brief" },
    { role: "user", content: "Hi" },
  ];
  const { response } = new ResponseTranslator({
    ...job,
    spec: {
      metadata: { a: "b" },
      request: { ...job.spec.request, messages },
      response: { ...spec, has_instructions: true, echo: { user: "u", tool_choice: "required" } },
    },
  });

  expect(response).toMatchObject({
    instructions: "Be brief",
    max_output_tokens: 9,
    temperature: 0.5,
    top_p: null,
    reasoning: { effort: "high" },
    tools: [
      {
        type: "function",
        name: "f",
        parameters: { type: "object" },
        description: null,
        strict: null,
      },
    ],
    tool_choice: "required",
    text: { format: { type: "json_schema", name: "s", schema: {} }, verbosity: "medium" },
    user: "u",
    metadata: { a: "b" },
    previous_response_id: null,
  });
});
