import { on } from "node:events";
import { IncomingMessage, request } from "node:http";
import { z } from "zod";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FaultBook, faultSchema } from "./faults.ts";
import { expectedChatText } from "./language.ts";
import { type EngineSim, startEngineSim } from "./server.ts";
import { post, postStreaming, readStream } from "./sse-client.ts";

const messages = [{ role: "user", content: "Hello" }];
const short = { messages, max_tokens: 10, ignore_eos: true };
const endless = { messages, ignore_eos: true };
const WAIT = { interval: 5, timeout: 2_000 };
let engine: EngineSim;
let chat: string;

beforeEach(async () => {
  engine = await startEngineSim({ port: 0, stepMs: 1 });
  chat = `${engine.url}/v1/chat/completions`;
});

afterEach(async () => engine.close());

async function counts(): Promise<Record<string, number>> {
  return JSON.parse(await (await fetch(`${engine.url}/sim/requests`)).text());
}

/** Post, read until the first bytes of the body have come, and hang up. */
async function hangUp(body: object): Promise<void> {
  const controller = new AbortController();
  const response = await post(chat, { ...body, stream: true }, controller.signal);
  await response.body?.getReader().read();
  controller.abort();
}

describe("a client that hangs up", () => {
  test("frees its slot at once", async () => {
    await hangUp(endless);

    await expect.poll(counts, WAIT).toMatchObject({ aborted: 1, running: 0 });
    expect(await (await fetch(`${engine.url}/metrics`)).text()).toMatch(
      /vllm:request_success_total\{model_name="headrace-sim-8b",engine="0",finished_reason="abort"\} 1/,
    );
  });

  test("frees it also when it waits for a whole answer", async () => {
    const controller = new AbortController();
    const answer = post(chat, endless, controller.signal);
    await expect.poll(counts, WAIT).toMatchObject({ running: 1 });
    controller.abort();

    await expect(answer).rejects.toThrow(/aborted/);
    await expect.poll(counts, WAIT).toMatchObject({ aborted: 1, running: 0 });
  });

  test("keeps its slot when the engine is told to ignore that", async () => {
    const fault = { headrace_fault: { kind: "ignore-abort" } };
    await hangUp({ ...short, max_tokens: 60, ...fault });

    await expect
      .poll(counts, WAIT)
      .toMatchObject({ completed: 1, aborted: 0, tokens_generated: 60 });
  });
});

describe("faults", () => {
  test("refuse the next requests and no more", async () => {
    await post(`${engine.url}/sim/faults`, { kind: "503", times: 2 });
    const statuses: number[] = [];
    for (let call = 0; call < 3; call++) statuses.push((await post(chat, short)).status);

    expect(statuses).toEqual([503, 503, 200]);
    expect(await counts()).toMatchObject({ started: 1 });
  });

  test("hit the page that spells ids as well", async () => {
    await post(`${engine.url}/sim/faults`, { kind: "500", path: "/detokenize", times: 1 });
    const statuses: number[] = [];
    for (let call = 0; call < 2; call++) {
      statuses.push((await post(`${engine.url}/detokenize`, { tokens: [1] })).status);
    }

    expect(statuses).toEqual([500, 200]);
  });

  test("are lifted by DELETE, and tell how often they struck", async () => {
    await post(`${engine.url}/sim/faults`, { kind: "500" });
    expect((await post(chat, short)).status).toBe(500);
    const listed = await fetch(`${engine.url}/sim/faults`);
    expect(await listed.json()).toMatchObject({ faults: [{ kind: "500", hits: 1 }] });
    await fetch(`${engine.url}/sim/faults`, { method: "DELETE" });

    expect((await post(chat, short)).status).toBe(200);
  });

  test("count by key, so that the retry of a job succeeds", async () => {
    const fault = { kind: "429", retry_after_seconds: 7, times: 1, key: "job-1" };
    const first = await post(chat, { ...short, headrace_fault: fault });
    const again = await post(chat, { ...short, headrace_fault: fault });
    const other = await post(chat, { ...short, headrace_fault: { ...fault, key: "job-2" } });

    expect([first.status, again.status, other.status]).toEqual([429, 200, 429]);
    expect(first.headers.get("retry-after")).toBe("7");
  });

  test("stall after the tokens asked for, and change nothing else", async () => {
    const fault = { kind: "stall", after_tokens: 4, milliseconds: 120 };
    const startedAt = performance.now();
    const { text } = await postStreaming(chat, { ...short, headrace_fault: fault });

    expect(performance.now() - startedAt).toBeGreaterThan(115);
    expect(text).toBe(expectedChatText(messages, { maxTokens: 10, ignoreEos: true }).text);
  });

  test("stall before the first token, alone or beside others", async () => {
    const fault = { kind: "stall", milliseconds: 120 };
    const startedAt = performance.now();
    const stalled = postStreaming(chat, { ...short, headrace_fault: fault });
    await postStreaming(chat, short);
    const otherMs = performance.now() - startedAt;
    await stalled;

    expect(otherMs).toBeLessThan(110);
    expect(performance.now() - startedAt).toBeGreaterThan(115);
  });

  test("slow a request down by the factor", async () => {
    const startedAt = performance.now();
    await postStreaming(chat, { ...short, headrace_fault: { kind: "slow", factor: 10 } });

    expect(performance.now() - startedAt).toBeGreaterThan(80);
  });

  test("cut the connection after the tokens asked for, which still arrive", async () => {
    const fault = { kind: "cut", after_tokens: 3 };
    const { text, error } = await postUntilBroken({
      ...short,
      stream: true,
      headrace_fault: fault,
    });

    expect(error).toBeInstanceOf(Error);
    expect(readStream(text).chunks).toHaveLength(1 + 3);
    await expect.poll(counts, WAIT).toMatchObject({ aborted: 1, running: 0 });
  });

  test("put garbage into the stream, once", async () => {
    const fault = { kind: "garbage", after_tokens: 2 };
    const response = await post(chat, { ...short, stream: true, headrace_fault: fault });
    const events = (await response.text()).split("\n\n").filter((event) => !isJsonEvent(event));

    expect(events).toEqual([expect.stringContaining("chatcmpl-broken"), "data: [DONE]", ""]);
  });

  test("leave a request without any answer until it gives up", async () => {
    const controller = new AbortController();
    const fault = { kind: "hang-connect" };
    const answer = post(chat, { ...short, headrace_fault: fault }, controller.signal);
    await postStreaming(chat, short);
    controller.abort();

    await expect(answer).rejects.toThrow(/aborted/);
    expect(await counts()).toMatchObject({ started: 1 });
  });

  test("strike the share of requests asked for, the same ones for the same seed", () => {
    const share = strikes().filter(Boolean).length / 400;

    expect(strikes()).toEqual(strikes());
    expect(share).toBeGreaterThan(0.22);
    expect(share).toBeLessThan(0.38);
  });
});

function strikes(): boolean[] {
  const book = new FaultBook();
  book.add(faultSchema.parse({ kind: "503", rate: 0.3, seed: 5 }));
  return Array.from({ length: 400 }, () => book.planFor("/", []).refusal !== undefined);
}

/** Post and read until the connection breaks; unlike fetch, keeps what came right before that. */
async function postUntilBroken(body: object): Promise<{ text: string; error: unknown }> {
  const call = request(chat, { method: "POST" });
  call.end(JSON.stringify(body));
  let text = "";
  try {
    for await (const response of on(call, "response", { close: ["close"] })) {
      for await (const bytes of z.tuple([z.instanceof(IncomingMessage)]).parse(response)[0]) {
        text += String(bytes);
      }
    }
    return { text, error: null };
  } catch (error) {
    return { text, error };
  }
}

function isJsonEvent(event: string): boolean {
  try {
    JSON.parse(event.replace("data: ", ""));
    return true;
  } catch {
    return false;
  }
}
