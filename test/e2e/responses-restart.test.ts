import { expectedChatText } from "@headrace/engine-sim/language";
import OpenAI from "openai";
import { expect, test as plainTest } from "vitest";

import { API_KEY, Platform } from "../platform.ts";

const MODEL = "headrace-sim-8b";
const INPUT = "Over it all";
/** Long enough for a Redis to come back, and a second worker to start, while it is generated. */
const TOKENS = 2_000;
/** Numbers that each attempt has, and how far epochs leap where Redis may have forgotten some. */
const BLOCK = 2 ** 24;
const LEAP = 1_000;

const test = plainTest.extend("platform", async ({}, { onCleanup }) => {
  // What Redis acknowledged is there when it comes back.
  const platform = await Platform.start({ redis: { appendfsync: "always" } });
  onCleanup(() => platform.stop());
  return platform;
});

async function restartAndHandOver(platform: Platform): Promise<void> {
  const [first] = platform.workers;
  await platform.redis.kill();
  await platform.redis.restart();
  await platform.startWorker();
  await first?.stop();
}

test("a response and its readers go on over a restart of Redis and a change of worker", async ({
  platform,
}) => {
  const client = new OpenAI({ baseURL: `${platform.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
  const events: OpenAI.Responses.ResponseStreamEvent[] = [];
  let trouble: Promise<void> | null = null;
  const request = { model: MODEL, input: INPUT, max_output_tokens: TOKENS, ignore_eos: true };
  const stream = await client.responses.create({ ...request, background: true, stream: true });
  for await (const event of stream) {
    events.push(event);
    if (event.type === "response.output_text.delta") trouble ??= restartAndHandOver(platform);
  }
  await trouble;
  const [created] = events;
  if (created?.type !== "response.created") throw new Error("no response was created");
  const { id } = created.response;
  const messages = [{ role: "user", content: INPUT }];
  const { text } = expectedChatText(messages, { maxTokens: TOKENS, ignoreEos: true });
  const seam = events.findIndex((event) => event.sequence_number >= BLOCK);

  expect(events.at(-1)).toMatchObject({
    type: "response.incomplete",
    response: { output: [{ content: [{ text }] }] },
  });
  expect(events.at(-1)?.sequence_number).toBeGreaterThan(LEAP * BLOCK);
  for (const [at, event] of events.entries()) {
    // Every place around the seam, and one in eight elsewhere.
    if (Math.abs(at - seam) > 4 && at % 8 !== 0) continue;
    const starting_after = event.sequence_number;
    const rest = await client.responses.retrieve(id, { stream: true, starting_after });
    expect(await Array.fromAsync(rest)).toEqual(events.slice(at + 1));
  }
}, 60_000);
