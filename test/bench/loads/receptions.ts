import { Redis } from "ioredis";
import { z } from "zod";

import { defineLoad } from "../load.ts";
import { nowMs } from "../monotonic-clock.ts";

/** Subscribes to a Redis channel, and tells when each of its messages came, in order. */
export const receptions = defineLoad({
  name: "receptions",
  task: z.strictObject({ redisUrl: z.string(), channel: z.string(), count: z.int() }),
  /** On the clock of `nowMs`. */
  answer: z.strictObject({ atMs: z.array(z.number()) }),
  run: async ({ redisUrl, channel, count }) => {
    const atMs: number[] = [];
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const redis = new Redis(redisUrl, { replyMapping: "legacy" });
    redis.on("message", () => {
      atMs.push(nowMs());
      if (atMs.length === count) resolve();
    });
    await redis.subscribe(channel);
    await done;
    redis.disconnect();
    return { atMs };
  },
});
