import { setTimeout as delay } from "node:timers/promises";

import { Pool } from "undici";
import { z } from "zod";

import { readChatStream } from "../chat-stream.ts";
import { defineLoad } from "../load.ts";

/**
 * Streams chat completions, a constant number at once, and checks that each is whole.
 *
 * The first ones start spread over one stream's duration: in step, all jobs would begin and end
 * together, which makes batches that no real traffic makes.
 */
export const chatStreams = defineLoad({
  name: "chat-streams",
  task: z.strictObject({
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    body: z.string(),
    count: z.int(),
    inFlight: z.int(),
    spreadMs: z.number(),
    /** What each stream must count. */
    completionTokens: z.int(),
  }),
  answer: z.strictObject({ elapsedMs: z.number() }),
  run: async ({ url, headers, body, count, inFlight, spreadMs, completionTokens }) => {
    const pool = new Pool(url, { connections: inFlight, bodyTimeout: 0 });
    const startedAt = performance.now();
    let left = count;
    const streamInTurn = async (_value: unknown, lane: number): Promise<void> => {
      await delay((lane / inFlight) * spreadMs);
      while (left > 0) {
        left -= 1;
        const end = await readChatStream(pool, { headers, body });
        if (end.completionTokens === completionTokens) continue;
        throw new Error(`${end.completionTokens} tokens, expected ${completionTokens}`);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, streamInTurn));
    const elapsedMs = performance.now() - startedAt;
    await pool.close();
    return { elapsedMs };
  },
});
