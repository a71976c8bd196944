import { Headrace } from "@headrace/client";
import { expectedChatText } from "@headrace/engine-sim/language";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

const MODEL = "headrace-sim-8b";
const STEP_MS = 10;
const TOKENS = 300;
/** Readers of our events, and as many of the official `openai` package's streams. */
const READERS_OF_EACH_KIND = 4;
const READERS = 2 * READERS_OF_EACH_KIND;
/** Pieces of text that every reader has before the worker is interrupted. */
const PIECES_BEFORE = 10;
/**
 * Most tokens of a stream that may be generated twice: those on their way from the engine and, for a
 * killed worker, those that waited to be written together. A tenth of a second, as machines may be busy.
 */
const MOST_TOKENS_TWICE = 10;

const interruptionTest = test.extend("platform", async ({}, { onCleanup }) => {
  const platform = await Platform.start({ engineFlags: ["--step-ms", String(STEP_MS)] });
  onCleanup(() => platform.stop());
  return platform;
});

const messages = (content: string): { role: "user"; content: string }[] => [
  { role: "user", content },
];
/** Parameters that the engine shares with vLLM: OpenAI's package passes on what it does not know. */
const LENGTH = { max_tokens: TOKENS, ignore_eos: true };

/** One reader's transcript. */
class Transcript {
  readonly prompt: string;
  text = "";
  /** Whether text was taken back, or the stream ended with an error. */
  isBroken = false;
  pieces = 0;
  longestPauseMs = 0;
  #heardAtMs = 0;
  readonly #hasBegun = Promise.withResolvers<void>();

  constructor(prompt: string) {
    this.prompt = prompt;
  }

  /** Resolves once the reader is in the middle of the text. */
  get begun(): Promise<void> {
    return this.#hasBegun.promise;
  }

  get expected(): { readonly text: string; readonly ids: readonly number[] } {
    return expectedChatText(messages(this.prompt), { maxTokens: TOKENS, ignoreEos: true });
  }

  add(text: string): void {
    if (text === "") return;
    const nowMs = performance.now();
    if (this.pieces > 0)
      this.longestPauseMs = Math.max(this.longestPauseMs, nowMs - this.#heardAtMs);
    this.#heardAtMs = nowMs;
    this.text += text;
    this.pieces += 1;
    if (this.pieces === PIECES_BEFORE) this.#hasBegun.resolve();
  }
}

async function readEvents(platform: Platform, transcript: Transcript): Promise<void> {
  const client = new Headrace({ url: platform.url, apiKey: API_KEY });
  const { id } = await client.submit({
    endpoint: "/v1/chat/completions",
    request: { model: MODEL, messages: messages(transcript.prompt), ...LENGTH },
  });
  for await (const { event } of client.events(id)) {
    if (event.type === "attempt.started") transcript.isBroken ||= event.reset;
    if (event.type !== "output.delta") continue;
    for (const { delta } of event.choices ?? []) {
      if (typeof delta?.["content"] === "string") transcript.add(delta["content"]);
    }
  }
}

async function readOpenAi(platform: Platform, transcript: Transcript): Promise<void> {
  const client = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
  try {
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: messages(transcript.prompt),
      stream: true,
      ...LENGTH,
    });
    for await (const chunk of stream) transcript.add(chunk.choices[0]?.delta.content ?? "");
  } catch {
    transcript.isBroken = true;
  }
}

/** What an interruption cost. */
interface Cost {
  readonly transcripts: readonly Transcript[];
  /** Tokens that the engine generated beyond those of the texts. */
  readonly tokensTwice: number;
  readonly longestPauseMs: number;
}

/** Interrupt the only worker while all read; another one is there to take over. */
async function interrupt(platform: Platform, how: "SIGTERM" | "SIGKILL"): Promise<Cost> {
  const [worker] = platform.workers;
  const kinds = [readEvents, readOpenAi];
  const readings = kinds.flatMap((read) =>
    Array.from({ length: READERS_OF_EACH_KIND }, (_, at) => {
      const transcript = new Transcript(`${how}, ${read.name}, ${at}`);
      return { transcript, done: read(platform, transcript) };
    }),
  );
  const transcripts = readings.map(({ transcript }) => transcript);
  await Promise.all(transcripts.map(({ begun }) => begun));
  await platform.startWorker();
  worker?.signal(how);
  await Promise.all(readings.map(({ done }) => done));
  const { tokens_generated: generated } = await platform.engineCounts();
  const expected = transcripts.reduce((sum, transcript) => sum + transcript.expected.ids.length, 0);
  return {
    transcripts,
    tokensTwice: generated - expected,
    longestPauseMs: Math.max(...transcripts.map(({ longestPauseMs }) => longestPauseMs)),
  };
}

function describeCost({ transcripts, tokensTwice, longestPauseMs }: Cost): string {
  return `${transcripts.length} streams: ${tokensTwice} tokens generated twice, longest pause ${Math.round(longestPauseMs)} ms`;
}

function expectUnbroken({ transcripts }: Cost): void {
  expect(transcripts.filter(({ isBroken }) => isBroken)).toEqual([]);
  expect(transcripts.map(({ text }) => text)).toEqual(
    transcripts.map(({ expected }) => expected.text),
  );
}

describe("no reader notices", () => {
  interruptionTest(
    "that a worker is told to stop",
    async ({ platform, annotate }) => {
      const cost = await interrupt(platform, "SIGTERM");
      await annotate(describeCost(cost));

      expectUnbroken(cost);
      expect(cost.tokensTwice).toBeLessThanOrEqual(READERS * MOST_TOKENS_TWICE);
      expect(cost.longestPauseMs).toBeLessThan(1_000);
    },
    30_000,
  );

  interruptionTest(
    "that a worker is killed, but for the pause",
    async ({ platform, annotate }) => {
      const cost = await interrupt(platform, "SIGKILL");
      await annotate(describeCost(cost));

      expectUnbroken(cost);
      expect(cost.tokensTwice).toBeLessThanOrEqual(READERS * MOST_TOKENS_TWICE);
      // The lock's 15 s, and up to 5 s until somebody looks.
      expect(cost.longestPauseMs).toBeLessThan(25_000);
    },
    60_000,
  );
});
