import { resolve } from "node:path";

import { z } from "zod";

import { DEFAULT_DATA_DIRECTORY } from "./data-directory.ts";

/** The flags that say which Headrace is meant. */
export const connectionFlags = {
  url: z.url({ protocol: /^https?$/, error: "expected http://host:port" }).optional(),
  "data-dir": z.string().min(1).default(DEFAULT_DATA_DIRECTORY).transform(toAbsolute),
};

export const jsonFlag = { json: z.boolean().default(false) };

/** A whole number within bounds. */
export function numberWithin(least: number, most: number, expected: string): z.ZodCoercedNumber {
  return z.coerce
    .number("expected a number")
    .int(expected)
    .min(least, expected)
    .max(most, expected);
}

/** A length of time such as `90`, `90s`, `5m`, `2h`, `1d`, in seconds. */
export function durationWithin(
  least: number,
  most: number,
  expected: string,
): z.ZodType<number, string> {
  return z
    .string()
    .transform(toSeconds)
    .refine((seconds) => seconds >= least && seconds <= most, { error: expected });
}

const SECONDS_PER_UNIT: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** NaN, which is within no bounds, for what is no time. */
function toSeconds(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(text) ?? [];
  return Number(digits) * (SECONDS_PER_UNIT[unit || "s"] ?? Number.NaN);
}

function toAbsolute(path: string): string {
  return resolve(path);
}
