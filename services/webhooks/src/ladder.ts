const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** From each try to the next, as Standard Webhooks has it; the first try is made at once. */
const PAUSES_MS = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
] as const;

/** Pauses are lengthened by up to this share, so that what failed together does not come together. */
const JITTER = 0.2;
/** The longest that a receiver may have us wait: as long as the longest pause. */
const LONGEST_WAIT_MS = 24 * HOUR_MS;
/** The ladder's sum is at most 91 h. What waits for a receiver that is left alone ends after this. */
export const LONGEST_LIFE_MS = 96 * HOUR_MS;

/**
 * Tell how long to wait before the next try.
 *
 * @param tries made so far, at least one
 * @param waitMs what the receiver asks for
 * @param random from 0 to 1
 * @returns ms; null when there is no further try
 */
export function pauseAfter(
  tries: number,
  waitMs: number,
  random: () => number = Math.random,
): number | null {
  const pauseMs = PAUSES_MS[tries - 1];
  if (pauseMs === undefined) return null;
  return Math.max(Math.round(pauseMs * (1 + random() * JITTER)), waitMs);
}

/**
 * Read `Retry-After`: seconds or a date (RFC 9110, 10.2.3).
 *
 * @returns ms, at most a day; 0 for what is absent, past or neither
 */
export function readRetryAfter(header: string | null, nowMs: number): number {
  if (header === null) return 0;
  const waitMs = /^\d{1,9}$/.test(header) ? Number(header) * SECOND_MS : Date.parse(header) - nowMs;
  return Number.isNaN(waitMs) ? 0 : Math.min(Math.max(waitMs, 0), LONGEST_WAIT_MS);
}
