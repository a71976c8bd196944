import { Worker } from "bullmq";
import { z } from "zod";

import { defineLoad } from "../load.ts";
import { nowMs } from "../monotonic-clock.ts";

/** Works a BullMQ queue, and tells when each of its jobs was begun, in order. */
export const pickUps = defineLoad({
  name: "pick-ups",
  task: z.strictObject({ redisUrl: z.string(), queue: z.string(), count: z.int() }),
  /** On the clock of `nowMs`. */
  answer: z.strictObject({ atMs: z.array(z.number()) }),
  run: async ({ redisUrl, queue, count }) => {
    const atMs: number[] = [];
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const begin = async (): Promise<void> => {
      atMs.push(nowMs());
      if (atMs.length === count) resolve();
      await Promise.resolve();
    };
    const worker = new Worker(queue, begin, {
      connection: { url: redisUrl },
      removeOnComplete: { count: 0 },
    });
    await done;
    await worker.close();
    return { atMs };
  },
});
