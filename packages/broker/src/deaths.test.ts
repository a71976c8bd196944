import type { JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { describe, expect } from "vitest";

import { claimJob } from "./claim.ts";
import { keys } from "./keys.ts";
import { brokerTest as test } from "./test-bench.ts";

/** Have one worker after the other take the job, say so many entries, and die. */
async function dieAgainAndAgain(
  redis: Redis,
  job: JobId,
  { entries, times }: { readonly entries: number; readonly times: number },
): Promise<unknown> {
  let claimed: unknown = null;
  for (let time = 1; time <= times; time += 1) {
    const claimant = { token: `w-${time}:1`, version: "v1", hasTokenIds: true, lock: null };
    claimed = await claimJob(redis, job, claimant);
    if (typeof claimed === "string") return claimed;
    await redis.hset(keys.entry(job), "next", entries + 1, "prompt_ids", "7,8");
  }
  return claimed;
}

describe("a job whose holders die", () => {
  test("is not to blame where each went on from the last and came far", async ({
    redis,
    startWorker,
    submit,
  }) => {
    (await startWorker()).slots = 0;
    const job = await submit();

    const last = await dieAgainAndAgain(redis, job, { entries: 50, times: 6 });

    expect(last).toMatchObject({ attempts: 6, from: 250, isSuspect: false });
  });

  test("is to blame where they die soon after going on", async ({ redis, startWorker, submit }) => {
    (await startWorker()).slots = 0;
    const job = await submit();

    const last = await dieAgainAndAgain(redis, job, { entries: 49, times: 6 });

    expect(last).toBe("failed");
    expect(await redis.hget(keys.entry(job), "deaths")).toBe("3");
  });
});
