import { Queue } from "bullmq";
import { z } from "zod";

import { defineLoad } from "../load.ts";

/** Adds jobs to a BullMQ queue of its own, with nothing around it. */
export const bareAdds = defineLoad({
  name: "bare-adds",
  task: z.strictObject({
    redisUrl: z.string(),
    data: z.record(z.string(), z.unknown()),
    loops: z.int(),
    count: z.int(),
    withinMs: z.number(),
  }),
  answer: z.strictObject({ added: z.int(), elapsedMs: z.number() }),
  run: async ({ redisUrl, data, loops, count, withinMs }) => {
    const queue = new Queue("bare", { connection: { url: redisUrl } });
    await queue.waitUntilReady();
    const startedAt = performance.now();
    let sent = 0;
    let added = 0;
    const addInTurn = async (): Promise<void> => {
      while (sent < count && performance.now() - startedAt < withinMs) {
        sent += 1;
        await queue.add("generate", data);
        added += 1;
      }
    };
    await Promise.all(Array.from({ length: loops }, addInTurn));
    const elapsedMs = performance.now() - startedAt;
    await queue.close();
    return { added, elapsedMs };
  },
});
