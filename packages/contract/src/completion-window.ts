import { z } from "zod";

const MINUTE_MS = 60_000;
const UNIT_MS = { m: MINUTE_MS, h: 60 * MINUTE_MS, d: 24 * 60 * MINUTE_MS } as const;
/** Less than a minute could not be kept: a batch is validated, queued and written in that time, too. */
const SHORTEST_MS = MINUTE_MS;
/** As long as any job may wait to start. */
const LONGEST_MS = 7 * UNIT_MS.d;
const PATTERN = /^([1-9]\d{0,4})([mhd])$/;

/**
 * Within what time a batch is to be done: whole minutes, hours or days, as in `90m`, `24h` or `7d`;
 * from `1m` to `7d`. OpenAI knows `24h` alone.
 */
export const completionWindowSchema = z.string().refine(isInBounds, {
  error: "expected whole minutes, hours or days from 1m to 7d, as in 90m, 24h or 7d",
});

/** How long a completion window is, ms. The text must have passed the schema: else it is a bug. */
export function windowMsOf(completionWindow: string): number {
  const ms = findMs(completionWindow);
  if (ms === null) throw new RangeError(`no completion window: ${completionWindow}`);
  return ms;
}

function isInBounds(text: string): boolean {
  const ms = findMs(text);
  return ms !== null && ms >= SHORTEST_MS && ms <= LONGEST_MS;
}

function findMs(text: string): number | null {
  const [, count, unit] = PATTERN.exec(text) ?? [];
  if (count === undefined || (unit !== "m" && unit !== "h" && unit !== "d")) return null;
  return Number(count) * UNIT_MS[unit];
}
