import type { Headrace, JobEventItem } from "@headrace/client";
import type { Job, Submit } from "@headrace/contract";
import {
  chatPromptIds,
  detokenize,
  expectedChatText,
  expectedText,
  tokenize,
  type ExpectedText,
} from "@headrace/engine-sim/language";
import * as fc from "fast-check";
import OpenAI from "openai";
import { describe, expect } from "vitest";

import { API_KEY, type Platform } from "../platform.ts";
import { platformTest as test } from "./platform-test.ts";

const MODEL = "headrace-sim-8b";
const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";

type Fields = Readonly<Record<string, unknown>>;

const messages = (content: string): { role: "user"; content: string }[] => [
  { role: "user", content },
];

const chat = (content: string, fields: Fields = {}): Submit => ({
  endpoint: CHAT,
  request: { model: MODEL, messages: messages(content), ...fields },
});

/** What a reader and the job's owner got of a job that was broken off. */
interface Outcome {
  readonly job: Job;
  readonly events: readonly JobEventItem[];
  /** All text that the reader was given, in one. */
  readonly text: string;
}

/** Have the engine fail the next calls as the faults say; run the job. */
async function breakOff(
  { client, platform }: { readonly client: Headrace; readonly platform: Platform },
  submit: Submit,
  faults: readonly Fault[],
): Promise<Outcome> {
  await setFaults(platform, faults);
  const { id } = await client.submit(submit);
  const events = await Array.fromAsync(client.events(id));
  return { job: await client.get(id), events, text: events.map(textOf).join("") };
}

/** What the engine does to the next calls of a path: to one, unless `times` says more. */
interface Fault {
  readonly kind: "cut" | "500" | "503";
  readonly path: string;
  readonly after_tokens?: number;
  readonly times?: number;
}

async function setFaults({ engine }: Platform, faults: readonly Fault[]): Promise<void> {
  const url = new URL("/sim/faults", engine.url);
  await fetch(url, { method: "DELETE" });
  for (const fault of faults) {
    await fetch(url, { method: "POST", body: JSON.stringify({ times: 1, ...fault }) });
  }
}

function textOf({ event }: JobEventItem): string {
  if (event.type !== "output.delta") return "";
  return (event.choices ?? [])
    .map(({ text, delta }) => text ?? delta?.["content"])
    .filter((text) => typeof text === "string")
    .join("");
}

/** The new attempts' `attempt.started`. */
function restarts({ events }: Outcome): unknown[] {
  return events
    .map(({ event }) => event)
    .filter((event) => event.type === "attempt.started" && event.epoch > 1);
}

/** Check that a broken-off job came to what an unbroken one comes to, and that no reader noticed. */
function expectUnbroken(outcome: Outcome, expected: ExpectedText, promptIds: number[]): void {
  const { job, text, events } = outcome;
  expect(restarts(outcome)).not.toEqual([]);
  for (const event of restarts(outcome)) expect(event).toMatchObject({ reset: false });
  expect(text).toBe(expected.text);
  expect(job).toMatchObject({
    status: "completed",
    result: { choices: [{ finish_reason: expected.finishReason }] },
    usage: {
      prompt_tokens: promptIds.length,
      completion_tokens: expected.ids.length,
      total_tokens: promptIds.length + expected.ids.length,
    },
  });
  expect(JSON.stringify(job.result)).toContain(JSON.stringify(expected.text));
  expect(JSON.stringify([events, job])).not.toMatch(/token_ids":\[/);
}

/** A prompt whose answer soon has a character of four tokens, and how many tokens begin it. */
function findWideCharacter(maxTokens: number): { content: string; begun: number } {
  for (let at = 0; at < 1_000; at += 1) {
    const content = `Tell me of sea number ${at}`;
    const { ids } = expectedChatText(messages(content), { maxTokens, ignoreEos: true });
    const isBegun = (count: number): boolean => detokenize(ids.slice(0, count)).endsWith("\uFFFD");
    const begun = ids.findIndex((_, count) => [1, 2, 3].every((more) => isBegun(count + more)));
    if (begun >= 0) return { content, begun };
  }
  throw new Error("no answer has such a character");
}

const cut = (path: string, afterTokens: number): Fault => ({
  kind: "cut",
  path,
  after_tokens: afterTokens,
});
const cutChat = (afterTokens: number): Fault[] => [cut(CHAT, afterTokens)];

describe("a job that breaks off", () => {
  test("goes on from the next token", async ({ client, platform }) => {
    const before = await platform.engineCounts();
    const outcome = await breakOff({ client, platform }, chat("Rivers", { max_tokens: 40 }), [
      ...cutChat(12),
    ]);
    const after = await platform.engineCounts();

    const expected = expectedChatText(messages("Rivers"), { maxTokens: 40 });
    expectUnbroken(outcome, expected, chatPromptIds(messages("Rivers")));
    expect(outcome.job.attempts).toBe(2);
    // Not one token was generated twice.
    expect(after.tokens_generated - before.tokens_generated).toBe(expected.ids.length);
  });

  test("goes on as often as it must", async ({ client, platform }) => {
    const outcome = await breakOff({ client, platform }, chat("Mills", { max_tokens: 60 }), [
      ...cutChat(9),
      cut(COMPLETIONS, 13),
    ]);

    const expected = expectedChatText(messages("Mills"), { maxTokens: 60 });
    expectUnbroken(outcome, expected, chatPromptIds(messages("Mills")));
    expect(outcome.job.attempts).toBe(3);
  });

  test("goes on where it was sampled greedily with a seed", async ({ client, platform }) => {
    const fields = { max_tokens: 30, seed: 5, temperature: 0 };
    const outcome = await breakOff({ client, platform }, chat("Seed", fields), cutChat(11));

    const expected = expectedChatText(messages("Seed"), { maxTokens: 30, seed: 5 });
    expectUnbroken(outcome, expected, chatPromptIds(messages("Seed")));
  });

  test("goes on when the engine has room again to spell its ids", async ({ client, platform }) => {
    const outcome = await breakOff({ client, platform }, chat("Full", { max_tokens: 30 }), [
      ...cutChat(9),
      { kind: "503", path: "/detokenize" },
    ]);

    const expected = expectedChatText(messages("Full"), { maxTokens: 30 });
    expectUnbroken(outcome, expected, chatPromptIds(messages("Full")));
  });

  test("is not generated further when it was whole", async ({ client, platform }) => {
    const before = await platform.engineCounts();
    const outcome = await breakOff({ client, platform }, chat("Whole", { max_tokens: 12 }), [
      ...cutChat(12),
    ]);
    const after = await platform.engineCounts();

    const expected = expectedChatText(messages("Whole"), { maxTokens: 12 });
    expectUnbroken(outcome, expected, chatPromptIds(messages("Whole")));
    expect(after.started - before.started).toBe(1);
  });

  test("gives the ids to a reader who asked for them, each once", async ({ client, platform }) => {
    const fields = { max_tokens: 30, return_token_ids: true };
    const outcome = await breakOff({ client, platform }, chat("Ids", fields), cutChat(11));

    const expected = expectedChatText(messages("Ids"), { maxTokens: 30 });
    expect(restarts(outcome)).toMatchObject([{ reset: false }]);
    expect(outcome.job.result).toMatchObject({ choices: [{ token_ids: expected.ids }] });
  });
});

describe("at the seam", () => {
  test("text that the engine held back for a stop string is made up for", async ({
    client,
    platform,
  }) => {
    const fields = { max_tokens: 40, stop: ["no such words at all"] };
    const outcome = await breakOff({ client, platform }, chat("Held", fields), cutChat(20));

    expectUnbroken(
      outcome,
      expectedChatText(messages("Held"), { maxTokens: 40, stop: fields.stop }),
      chatPromptIds(messages("Held")),
    );
  });

  test.for([1, 3, 6])(
    "a stop string across it ends the text (%i characters before it)",
    async (before, { client, platform }) => {
      const whole = expectedChatText(messages("Across"), { maxTokens: 60, ignoreEos: true });
      const at = detokenize(whole.ids.slice(0, 20)).length;
      const stop = whole.text.slice(at - before, at - before + 7);
      const fields = { max_tokens: 60, stop, ignore_eos: true };
      const options = { maxTokens: 60, stop: [stop], ignoreEos: true };

      const outcome = await breakOff({ client, platform }, chat("Across", fields), cutChat(20));

      const expected = expectedChatText(messages("Across"), options);
      expect(expected.ids.length).toBeGreaterThan(20);
      expect(expected.ids.length).toBeLessThan(60);
      expectUnbroken(outcome, expected, chatPromptIds(messages("Across")));
      expect(outcome.job.result).toMatchObject({ choices: [{ stop_reason: stop }] });
    },
  );

  test("a stop string after it ends the text, and may be part of it", async ({
    client,
    platform,
  }) => {
    const whole = expectedChatText(messages("After"), { maxTokens: 60, ignoreEos: true });
    const at = detokenize(whole.ids.slice(0, 30)).length;
    const stop = whole.text.slice(at, at + 5);
    const fields = { max_tokens: 60, stop, ignore_eos: true, include_stop_str_in_output: true };

    const outcome = await breakOff({ client, platform }, chat("After", fields), cutChat(10));

    const upTo = whole.text.indexOf(stop, detokenize(whole.ids.slice(0, 10)).length - 4);
    expect(outcome.text).toBe(whole.text.slice(0, upTo + stop.length));
    expect(outcome.job.result).toMatchObject({
      choices: [{ finish_reason: "stop", stop_reason: stop }],
    });
  });

  test.for([1, 2, 3])(
    "a character is not broken, wherever in it the seam lies (after %i of 4 tokens)",
    async (tokens, { client, platform }) => {
      const { content, begun } = findWideCharacter(60);
      const fields = { max_tokens: 60, ignore_eos: true };

      const outcome = await breakOff(
        { client, platform },
        chat(content, fields),
        cutChat(begun + tokens),
      );

      expectUnbroken(
        outcome,
        expectedChatText(messages(content), { maxTokens: 60, ignoreEos: true }),
        chatPromptIds(messages(content)),
      );
    },
  );

  test("min_tokens counts from the first token on", async ({ client, platform }) => {
    const promptIds = chatPromptIds(messages("Least"));
    const natural = expectedChatText(messages("Least"), { maxTokens: 4_000 }).ids.length;
    const options = { maxTokens: natural + 100, minTokens: natural + 20 };

    const outcome = await breakOff(
      { client, platform },
      chat("Least", { max_tokens: options.maxTokens, min_tokens: options.minTokens }),
      cutChat(10),
    );

    const expected = expectedChatText(messages("Least"), options);
    expect(expected.ids.length).toBeGreaterThan(natural);
    expectUnbroken(outcome, expected, promptIds);
  });

  test("completions keep their limit of 16 tokens", async ({ client, platform }) => {
    const request = { model: MODEL, prompt: "The canal", ignore_eos: true };
    const outcome = await breakOff({ client, platform }, { endpoint: COMPLETIONS, request }, [
      cut(COMPLETIONS, 6),
    ]);

    const promptIds = tokenize("The canal");
    const expected = expectedText({ promptIds, maxTokens: 16, ignoreEos: true });
    expectUnbroken(outcome, expected, promptIds);
  });

  test("chats without a limit end by themselves, not at 16 tokens", async ({
    client,
    platform,
  }) => {
    const outcome = await breakOff({ client, platform }, chat("Unlimited"), cutChat(5));

    const expected = expectedChatText(messages("Unlimited"), { maxTokens: 4_000 });
    expect(expected.ids.length).toBeGreaterThan(5 + 16);
    expectUnbroken(outcome, expected, chatPromptIds(messages("Unlimited")));
  });

  test("whatever the request and the place, nothing is lost or repeated", async ({
    client,
    platform,
  }) => {
    const request = fc.record({
      content: fc.constantFrom("One", "Zwei", "Trois ça", "四"),
      seed: fc.nat(20),
      max_tokens: fc.integer({ min: 2, max: 70 }),
      min_tokens: fc.nat(2),
      stop: fc.array(fc.constantFrom(" the", "é", "—", "ing", "🌊", ", another"), { maxLength: 3 }),
    });
    const property = fc.asyncProperty(request, fc.nat(69), async ({ content, ...fields }, at) => {
      const options = {
        seed: fields.seed,
        maxTokens: fields.max_tokens,
        minTokens: fields.min_tokens,
        stop: fields.stop,
      };
      const expected = expectedChatText(messages(content), options);
      const submit = chat(content, { ...fields, temperature: 0 });
      const afterTokens = 1 + (at % expected.ids.length);

      const { text, job } = await breakOff({ client, platform }, submit, cutChat(afterTokens));

      expect(text).toBe(expected.text);
      expect(job).toMatchObject({
        attempts: 2,
        result: { choices: [{ finish_reason: expected.finishReason }] },
        usage: { completion_tokens: expected.ids.length },
      });
    });
    await fc.assert(property, { numRuns: 20 });
  }, 30_000);
});

describe("an OpenAI stream that breaks off", () => {
  const open = async (
    platform: Platform,
    afterTokens: number,
    { more = [], ...fields }: Fields & { readonly more?: readonly Fault[] } = {},
  ): Promise<string> => {
    await setFaults(platform, [...cutChat(afterTokens), ...more]);
    const client = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: messages("Stream"),
      max_tokens: 30,
      stream: true,
      ...fields,
    });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  };
  const expected = expectedChatText(messages("Stream"), { maxTokens: 30 }).text;

  test("goes on", async ({ platform }) => {
    expect(await open(platform, 12)).toBe(expected);
  });

  test("goes on when the engine, which could not spell its ids, can again", async ({
    platform,
  }) => {
    expect(await open(platform, 12, { more: [{ kind: "500", path: "/detokenize" }] })).toBe(
      expected,
    );
  });

  test("ends with an error where going on would not be exact", async ({ platform }) => {
    await expect(open(platform, 12, { logprobs: true })).rejects.toMatchObject({
      code: "engine_unavailable",
    });
  });

  test("begins anew, and nobody knows, while it had shown nothing", async ({ platform }) => {
    expect(await open(platform, 0, { logprobs: true })).toBe(expected);
  });

  test.for([1, 3])(
    "begins anew, and nobody knows, while all it had said was held back (%i tokens)",
    async (tokens, { platform }) => {
      const fields = { presence_penalty: 0.5, stop: "these very words, which it never says" };

      expect(await open(platform, tokens, fields)).toBe(expected);
    },
  );
});

describe("a job starts over, and says so, where going on would not be exact:", () => {
  const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } };
  test.for<[string, Fields, Partial<Submit>]>([
    ["several choices", { n: 2 }, {}],
    ["log probabilities", { logprobs: true }, {}],
    ["a presence penalty", { presence_penalty: 0.5 }, {}],
    ["a frequency penalty", { frequency_penalty: 0.5 }, {}],
    ["a seed, and a temperature", { seed: 1, temperature: 0.7 }, {}],
    ["a seed, and the engine's own temperature", { seed: 1 }, {}],
    ["tools", { tools: [{ type: "function", function: { name: "f" } }] }, {}],
    ["structured output", { response_format: { type: "json_object" } }, {}],
    ["an image", { messages: [{ role: "user", content: [image] }] }, {}],
    ["a field that nobody here knows", { vllm_xargs: { a: 1 } }, {}],
    ["its owner's wish", {}, { on_retry: "reset" }],
  ])("%s", async ([, fields, options], { client, platform }) => {
    const submit = { ...chat("Again", { max_tokens: 30, ...fields }), ...options };

    const outcome = await breakOff({ client, platform }, submit, cutChat(21));

    expect(restarts(outcome)).toMatchObject([{ epoch: 2, from: 0, reset: true }]);
    expect(outcome.job).toMatchObject({ status: "completed", attempts: 2 });
  });

  test("ids that the engine fails to spell", async ({ client, platform }) => {
    const outcome = await breakOff({ client, platform }, chat("Unspelled", { max_tokens: 30 }), [
      ...cutChat(9),
      { kind: "500", path: "/detokenize", times: 9 },
    ]);

    expect(restarts(outcome)).toMatchObject([
      { epoch: 2, reset: false },
      { epoch: 3, reason: "cannot_continue", from: 0, reset: true },
    ]);
    expect(outcome.job).toMatchObject({ status: "completed", attempts: 2 });
  });

  test("and fails where its owner wants that", async ({ client, platform }) => {
    const submit: Submit = { ...chat("Fail", { max_tokens: 30 }), on_retry: "fail" };

    const outcome = await breakOff({ client, platform }, submit, cutChat(9));

    expect(outcome.job).toMatchObject({ status: "failed", error: { code: "engine_unavailable" } });
  });
});
