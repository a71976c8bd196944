import { setTimeout as delay } from "node:timers/promises";

import { Pool } from "undici";
import { z } from "zod";

import { readChatStream } from "../chat-stream.ts";
import { defineLoad } from "../load.ts";
import { numberedPrompt } from "./numbered-prompt.ts";

/** Park and Miller's generator: every run has the same arrivals. */
const FACTOR = 48_271;
const MODULUS = 2_147_483_647;
const FIRST_STATE = 42;
/** What any call may take: a call that takes longer is not slow but lost. */
const CALL_TIMEOUT_MS = 60_000;

/**
 * Makes streamed calls at random instants, as people do: each on its own, however long the others
 * take. Tells when each call's first text came.
 */
export const pacedCalls = defineLoad({
  name: "paced-calls",
  task: z.strictObject({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    model: z.string(),
    promptTokens: z.int(),
    outputTokens: z.int(),
    perSecond: z.number(),
    forMs: z.number(),
    /** Of the first prompt; each next one has the next. */
    firstNumber: z.int(),
  }),
  answer: z.strictObject({ firstTextMs: z.array(z.number()) }),
  run: async (task) => {
    const pool = new Pool(task.url, { bodyTimeout: CALL_TIMEOUT_MS });
    const calls: Promise<number>[] = [];
    let state = FIRST_STATE;
    const startedAt = performance.now();
    let atMs = 0;
    for (;;) {
      state = (state * FACTOR) % MODULUS;
      atMs += (-Math.log(state / MODULUS) * 1_000) / task.perSecond;
      if (atMs > task.forMs) break;
      await delay(Math.max(0, startedAt + atMs - performance.now()));
      calls.push(callOnce(pool, task, task.firstNumber + calls.length));
    }
    const firstTextMs = await Promise.all(calls);
    await pool.close();
    return { firstTextMs };
  },
});

/** @returns when the first text came, ms from the request */
async function callOnce(
  pool: Pool,
  call: {
    readonly headers: Readonly<Record<string, string>>;
    readonly model: string;
    readonly promptTokens: number;
    readonly outputTokens: number;
  },
  number: number,
): Promise<number> {
  const body = JSON.stringify({
    model: call.model,
    messages: [{ role: "user", content: numberedPrompt(number, call.promptTokens) }],
    max_tokens: call.outputTokens,
    ignore_eos: true,
    stream: true,
  });
  const sentAt = performance.now();
  let firstAt: number | null = null;
  await readChatStream(pool, { headers: call.headers, body }, () => {
    firstAt ??= performance.now();
  });
  if (firstAt === null) throw new Error("a stream had no text");
  return firstAt - sentAt;
}
