import type { Redis } from "ioredis";

/** How this process' clock stands to Redis'. */
export interface ClockOffset {
  readonly redisNowMs: number;
  /** Redis' clock less the process' own, ms. */
  readonly offsetMs: number;
  /** How wrong that may be: half of what asking took, ms. */
  readonly errorMs: number;
}

/** Ask Redis for the time. */
export async function readClockOffset(redis: Redis): Promise<ClockOffset> {
  const askedAt = performance.now();
  const ownNowMs = Date.now();
  const redisNowMs = await readRedisMs(redis);
  const errorMs = (performance.now() - askedAt) / 2;
  return { redisNowMs, offsetMs: redisNowMs - ownNowMs - errorMs, errorMs };
}

/** Ask Redis for the time. @returns ms since the epoch */
export async function readRedisMs(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
}
