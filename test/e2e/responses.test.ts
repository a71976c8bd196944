import { expectedChatText } from "@headrace/engine-sim/language";
import OpenAI, { APIError } from "openai";
import { describe, expect, onTestFinished } from "vitest";

import { API_KEY, type Platform } from "../platform.ts";
import { WebhookSink } from "../webhook-sink.ts";
import { platformTest as test } from "./platform-test.ts";

type StreamEvent = OpenAI.Responses.ResponseStreamEvent;

const MODEL = "headrace-sim-8b";
const CHAT = "/v1/chat/completions";
/** A parameter of vLLM's own: OpenAI's package passes it on, though its types do not know it. */
const VLLM_ENDLESS = { ignore_eos: true };

const clientOf = ({ url }: Platform): OpenAI =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: API_KEY, maxRetries: 0 });

const expectedOf = (content: string, maxTokens: number) =>
  expectedChatText([{ role: "user", content }], { maxTokens });

/** Start a response in the background, and read its events as they come. */
const openStream = (platform: Platform, input: string, fields: object = {}) =>
  clientOf(platform).responses.create({
    model: MODEL,
    input,
    max_output_tokens: 60,
    background: true,
    ...fields,
    stream: true,
  });

/** Have the engine break off the next calls of a path after so many tokens. */
async function cutEngine({ engine }: Platform, path: string, afterTokens: number): Promise<void> {
  const url = new URL("/sim/faults", engine.url);
  await fetch(url, { method: "DELETE" });
  const fault = { kind: "cut", path, after_tokens: afterTokens, times: 1 };
  await fetch(url, { method: "POST", body: JSON.stringify(fault) });
}

const textOf = (events: readonly StreamEvent[]): string =>
  events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");

/** Wait until a background response has ended. */
async function ended(client: OpenAI, id: string): Promise<OpenAI.Responses.Response> {
  for (;;) {
    const response = await client.responses.retrieve(id);
    if (response.status !== "queued" && response.status !== "in_progress") return response;
  }
}

describe("the official openai package", () => {
  test("gets a whole response, and can retrieve and delete it", async ({ platform }) => {
    const client = clientOf(platform);
    const expected = expectedOf("Why is the sky blue?", 40);

    const response = await client.responses.create({
      model: MODEL,
      input: "Why is the sky blue?",
      max_output_tokens: 40,
      metadata: { ticket: "7" },
    });
    const again = await client.responses.retrieve(response.id);
    await client.responses.delete(response.id);

    expect(response.output_text).toBe(expected.text);
    expect(response).toMatchObject({
      status: expected.finishReason === "length" ? "incomplete" : "completed",
      metadata: { ticket: "7" },
      usage: { output_tokens: expected.ids.length },
    });
    expect(again).toEqual(response);
    await expect(client.responses.retrieve(response.id)).rejects.toMatchObject({
      status: 404,
      code: "response_not_found",
    });
  });

  test("is told what was said before, and by whom", async ({ platform }) => {
    const { output_text: text } = await clientOf(platform).responses.create({
      model: MODEL,
      instructions: "Be brief",
      input: [
        { role: "user", content: "One" },
        { role: "assistant", content: "Two" },
        { role: "user", content: [{ type: "input_text", text: "Three" }] },
      ],
      max_output_tokens: 30,
    });

    const messages = [
      { role: "system", content: "Be brief" },
      { role: "user", content: "One" },
      { role: "assistant", content: "Two" },
      { role: "user", content: "Three" },
    ];
    expect(text).toBe(expectedChatText(messages, { maxTokens: 30 }).text);
  });

  test("reads again what it asked, page by page", async ({ platform }) => {
    const client = clientOf(platform);
    const asked = ["One", "Two", "Three"];
    const { id } = await client.responses.create({
      model: MODEL,
      input: asked.map((content) => ({ role: "user" as const, content })),
      max_output_tokens: 4,
    });

    const items = await Array.fromAsync(
      client.responses.inputItems.list(id, { order: "asc", limit: 2 }),
    );

    expect(items).toMatchObject(
      asked.map((text) => ({ role: "user", content: [{ type: "input_text", text }] })),
    );
  });

  test("streams a response with its own helper", async ({ platform }) => {
    const stream = clientOf(platform).responses.stream({
      model: MODEL,
      input: "Tell me about rivers",
      max_output_tokens: 50,
    });
    const pieces: string[] = [];
    stream.on("response.output_text.delta", ({ delta }) => pieces.push(delta));
    const response = await stream.finalResponse();

    const expected = expectedOf("Tell me about rivers", 50);
    expect(pieces.join("")).toBe(expected.text);
    expect(pieces.length).toBeGreaterThan(3);
    expect(response.output_text).toBe(expected.text);
  });

  test("starts one in the background, and asks until it has ended", async ({ platform }) => {
    const client = clientOf(platform);

    const { id, status } = await client.responses.create({
      model: MODEL,
      input: "Take your time",
      max_output_tokens: 30,
      background: true,
    });
    const response = await ended(client, id);

    expect(status).toBe("queued");
    expect(response.output_text).toBe(expectedOf("Take your time", 30).text);
  });

  test("goes on with a background stream after any event that it has", async ({ platform }) => {
    const client = clientOf(platform);
    const events = await Array.fromAsync(await openStream(platform, "Canals"));
    const [created] = events;
    if (created?.type !== "response.created") throw new Error("no response was created");
    const { id } = created.response;

    expect(events.map((event) => event.type).slice(0, 3)).toEqual([
      "response.created",
      "response.queued",
      "response.in_progress",
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, at) => at));
    expect(textOf(events)).toBe(expectedOf("Canals", 60).text);
    for (const [at, event] of events.entries()) {
      const rest = await client.responses.retrieve(id, {
        stream: true,
        starting_after: event.sequence_number,
      });
      expect(await Array.fromAsync(rest)).toEqual(events.slice(at + 1));
    }
  });

  test("is cut again and again while it goes on, on another worker too", async ({ platform }) => {
    const client = clientOf(platform);
    await cutEngine(platform, CHAT, 25);
    const events: StreamEvent[] = [];
    let stream = await openStream(platform, "Broken off", VLLM_ENDLESS);
    let id = "";
    for (let cuts = 0; events.at(-1)?.type.match(/completed|incomplete/) == null; cuts += 1) {
      for await (const event of stream) {
        events.push(event);
        if (event.type === "response.created") id = event.response.id;
        // Leave after 1, 2, 3 … events, in the midst of whatever is going on.
        if (events.length % (cuts + 2) === 0) break;
      }
      stream = await client.responses.retrieve(id, {
        stream: true,
        starting_after: events.at(-1)?.sequence_number ?? 0,
      });
    }
    stream.controller.abort();

    const whole = await Array.fromAsync(await client.responses.retrieve(id, { stream: true }));
    const prompt = [{ role: "user", content: "Broken off" }];
    const expected = expectedChatText(prompt, { maxTokens: 60, ignoreEos: true });
    expect(textOf(events)).toBe(expected.text);
    expect(events).toEqual(whole);
    // The second attempt's events are in a block of their own.
    expect(events.at(-1)?.sequence_number).toBeGreaterThan(2 ** 24);
    const job = await platform.call(`/v1/jobs/${id.replace("resp_", "job_")}`);
    expect(await job.json()).toMatchObject({ attempts: 2, status: "completed" });
  });

  test("is told one stream by two workers, of whom the first is told to stop", async ({
    platform,
  }) => {
    const client = clientOf(platform);
    const [first] = platform.workers;
    const stream = await openStream(platform, "Handed over", {
      max_output_tokens: 1_000,
      ...VLLM_ENDLESS,
    });
    const events: StreamEvent[] = [];
    let stopped: Promise<unknown> | null = null;
    let second: Promise<unknown> | null = null;
    for await (const event of stream) {
      events.push(event);
      if (event.type !== "response.output_text.delta") continue;
      second ??= platform.startWorker();
      stopped ??= second.then(async () => first?.stop());
    }
    await stopped;
    const [created] = events;
    if (created?.type !== "response.created") throw new Error("no response was created");

    const expected = expectedChatText([{ role: "user", content: "Handed over" }], {
      maxTokens: 1_000,
      ignoreEos: true,
    });
    expect(textOf(events)).toBe(expected.text);
    expect(events.at(-1)?.sequence_number).toBeGreaterThan(2 ** 24);
    for (const [at, event] of events.entries()) {
      const starting_after = event.sequence_number;
      const { id } = created.response;
      const rest = await client.responses.retrieve(id, { stream: true, starting_after });
      expect(await Array.fromAsync(rest)).toEqual(events.slice(at + 1));
    }
  }, 30_000);

  test("is told an answer whole that broke off behind its reasoning", async ({ platform }) => {
    await cutEngine(platform, CHAT, 40);
    const stream = await openStream(platform, "Hm", {
      reasoning: { effort: "low" },
      ...VLLM_ENDLESS,
    });
    const events = await Array.fromAsync(stream);
    const last = events.at(-1);
    if (last?.type !== "response.incomplete") throw new Error("it did not end at its limit");

    expect(last.sequence_number).toBeGreaterThan(2 ** 24);
    expect(last.response.output).toMatchObject([
      { type: "reasoning", status: "completed" },
      { type: "message", status: "incomplete", content: [{ text: textOf(events) }] },
    ]);
    expect(last.response.usage?.output_tokens).toBe(60);
  });

  test("resumes with its own helper, from a response's id", async ({ platform }) => {
    const client = clientOf(platform);
    const { id } = await client.responses.create({
      model: MODEL,
      input: "Later",
      max_output_tokens: 20,
      background: true,
    });

    const response = await client.responses
      .stream({ response_id: id, starting_after: 3 })
      .finalResponse();

    expect(response.output_text).toBe(expectedOf("Later", 20).text);
  });

  test("is sent word of responses cut at their limit, broken off at their last token or not", async ({
    platform,
  }) => {
    const client = clientOf(platform);
    const sink = await WebhookSink.open();
    onTestFinished(() => sink.close());
    await platform.startWebhooks();
    const { id: endpoint } = await client.webhooks.create({
      name: "Cut",
      url: sink.url,
      event_types: ["response.incomplete", "response.completed"],
    });
    const cut = { model: MODEL, input: "Cut", max_output_tokens: 10, background: true };
    const whole = await client.responses.create({ ...cut, ...VLLM_ENDLESS });
    const first = await sink.when(({ body }) => body.includes(whole.id));
    await cutEngine(platform, CHAT, 10);
    const broken = await client.responses.create({ ...cut, ...VLLM_ENDLESS });
    const second = await sink.when(({ body }) => body.includes(broken.id));
    await client.webhooks.delete(endpoint);

    for (const { body } of [first, second]) {
      expect(JSON.parse(body)).toMatchObject({ type: "response.incomplete" });
    }
    const job = await platform.call(`/v1/jobs/${broken.id.replace("resp_", "job_")}`);
    expect(await job.json()).toMatchObject({ attempts: 2 });
  }, 30_000);

  test("cancels a background response, as often as it likes", async ({ platform }) => {
    const client = clientOf(platform);
    const before = await platform.engineCounts();
    const stream = await openStream(platform, "A long story", {
      max_output_tokens: 4_000,
      ...VLLM_ENDLESS,
    });
    const events: StreamEvent[] = [];
    let id = "";
    for await (const event of stream) {
      events.push(event);
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta" && events.length < 8) {
        await client.responses.cancel(id);
      }
    }
    const [first, second] = [
      await client.responses.cancel(id),
      await client.responses.retrieve(id),
    ];

    expect(first.status).toBe("cancelled");
    expect(second).toMatchObject(first);
    expect(events.at(-1)).toMatchObject({
      type: "response.incomplete",
      response: { status: "cancelled" },
    });
    await expect
      .poll(() => platform.engineCounts(), { timeout: 1_000 })
      .toMatchObject({ aborted: before.aborted + 1, running: 0 });
  });

  test("cancels a synchronous one by hanging up, and only so", async ({ platform }) => {
    const client = clientOf(platform);
    const before = await platform.engineCounts();
    const stream = await client.responses.create({
      model: MODEL,
      input: "Endless",
      max_output_tokens: 4_000,
      stream: true,
      ...VLLM_ENDLESS,
    });
    let id = "";
    for await (const event of stream) {
      if (event.type === "response.created") id = event.response.id;
      if (event.type === "response.output_text.delta") break;
    }

    await expect
      .poll(() => platform.engineCounts(), { timeout: 1_000 })
      .toMatchObject({ aborted: before.aborted + 1, running: 0 });
    await expect(client.responses.cancel(id)).rejects.toMatchObject({ status: 400 });
    expect(await client.responses.retrieve(id)).toMatchObject({ status: "cancelled" });
  });

  test("leaves nothing behind where nothing is to be stored", async ({ platform }) => {
    const client = clientOf(platform);
    const { id } = await client.responses.create({
      model: MODEL,
      input: "Secret",
      max_output_tokens: 5,
      store: false,
    });

    await expect(client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    const job = `/v1/jobs/${id.replace("resp_", "job_")}`;
    await expect.poll(async () => (await platform.call(job)).status, { timeout: 2_000 }).toBe(404);
  });

  test("is refused what cannot be served, by the field's name", async ({ platform }) => {
    const error = await clientOf(platform)
      .responses.create({ model: MODEL, input: "Hi", tools: [{ type: "web_search" }] })
      .catch((failure: unknown) => failure);

    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status: 400, code: "request_invalid", param: "tools[0].type" });
  });

  test("is told when a stream that showed output cannot be gone on with", async ({ platform }) => {
    await cutEngine(platform, CHAT, 12);
    const events: StreamEvent[] = [];
    const stream = await openStream(platform, "Odds", { top_logprobs: 2 });
    const read = async (): Promise<void> => {
      for await (const event of stream) events.push(event);
    };

    await expect(read()).rejects.toMatchObject({ code: "engine_unavailable" });
    const [created] = events;
    if (created?.type !== "response.created") throw new Error("no response was created");
    expect(await ended(clientOf(platform), created.response.id)).toMatchObject({
      status: "failed",
      error: { code: "server_error" },
    });
  });

  test("knows of no retry while nothing was shown", async ({ platform }) => {
    await cutEngine(platform, CHAT, 0);

    const events = await Array.fromAsync(await openStream(platform, "Odd", { top_logprobs: 2 }));

    expect(textOf(events)).toBe(expectedOf("Odd", 60).text);
    expect(events.at(-1)?.type).toMatch(/response.(in)?complete/);
  });
});
