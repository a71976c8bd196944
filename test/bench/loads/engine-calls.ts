import { Pool } from "undici";
import { z } from "zod";

import { readChatStream } from "../chat-stream.ts";
import { defineLoad } from "../load.ts";
import { numberedPrompt } from "./numbered-prompt.ts";

/** Keeps so many streamed calls under way for a while: a closed loop, each call followed by the next. */
export const engineCalls = defineLoad({
  name: "engine-calls",
  task: z.strictObject({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    model: z.string(),
    promptTokens: z.int(),
    outputTokens: z.int(),
    atOnce: z.int(),
    forMs: z.number(),
    /** Of the first prompt; each next one has the next. */
    firstNumber: z.int(),
  }),
  answer: z.strictObject({ calls: z.int() }),
  run: async (task) => {
    const pool = new Pool(task.url, { connections: task.atOnce });
    const endsAt = performance.now() + task.forMs;
    let calls = 0;
    const loop = async (): Promise<void> => {
      while (performance.now() < endsAt) {
        const number = task.firstNumber + calls;
        calls += 1;
        const body = JSON.stringify({
          model: task.model,
          messages: [{ role: "user", content: numberedPrompt(number, task.promptTokens) }],
          max_tokens: task.outputTokens,
          ignore_eos: true,
          stream: true,
        });
        await readChatStream(pool, { headers: task.headers, body }, () => {});
      }
    };
    await Promise.all(Array.from({ length: task.atOnce }, loop));
    await pool.close();
    return { calls };
  },
});
