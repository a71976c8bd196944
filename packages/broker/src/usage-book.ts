import type { ModelCode, UsageSums } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import type { EndedJob } from "./outbox.ts";
import { script } from "./script.ts";
import type { EndTaker } from "./settler.ts";

const settle = script("settle", z.int());

const DAY_MS = 24 * 3_600 * 1_000;
/** A year, and a month to look back at it. */
const USAGE_DAYS = 400;
const HOUR_MS = 3_600 * 1_000;
const MICROSECONDS_PER_MS = 1_000;
/** Counters are whole numbers, so that no sum drifts: costs are kept in billionths. */
const BILLIONTHS = 1e9;
/** Most days read side by side. */
const READ_PAGE = 50;

/** What one key's jobs of one model came to on one day. */
export interface DayUsage extends UsageSums {
  /** UTC, as `2026-11-25`. */
  readonly day: string;
  readonly key: string;
  readonly model: string;
}

/** What a job used. */
interface JobUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly gpuMs: number;
}

/**
 * Counts what ended jobs have used, by key, model and day of their end, gives back what they held of
 * their keys' limits, and notes what is kept of them: once each, in their tenants' slots. The tenant's slot remembers how far each model's outbox is counted: no job leaves a
 * record of its own.
 *
 * @see docs/adr/011-outbox-and-usage.md
 */
export class UsageBook implements EndTaker {
  readonly #redis: Redis;
  readonly #gpuHourPrice: number;

  /** @param gpuHourPrice what an hour of one GPU costs, in the operator's unit of money */
  constructor(redis: Redis, gpuHourPrice: number) {
    this.#redis = redis;
    this.#gpuHourPrice = gpuHourPrice;
  }

  readonly takesRests = true;

  readonly take = async (code: ModelCode, jobs: readonly EndedJob[]): Promise<void> => {
    const tenants = Map.groupBy(jobs, ({ owner }) => owner.tenant);
    await Promise.all(
      [...tenants].map(([tenant, ended]) =>
        settle(
          this.#redis,
          [keys.settled(tenant)],
          [
            keys.tenantSlot(tenant),
            code,
            USAGE_DAYS * DAY_MS,
            ...ended.flatMap((job) => this.#toCounts(job)),
          ],
        ),
      ),
    );
  };

  #toCounts(job: EndedJob): (string | number)[] {
    const { owner, place, end } = job;
    const { inputTokens, outputTokens, gpuMs } = usageOf(job);
    const cost = (gpuMs / HOUR_MS) * this.#gpuHourPrice;
    return [
      place.ms,
      place.sequence,
      toDay(end.at.ended),
      owner.key,
      owner.model,
      job.isRest ? 0 : 1,
      inputTokens,
      outputTokens,
      Math.round(gpuMs * MICROSECONDS_PER_MS),
      Math.round(cost * BILLIONTHS),
      job.id,
      owner.hold?.kind ?? "",
      owner.hold?.tokens ?? 0,
      job.keptBytes ?? "",
    ];
  }
}

/**
 * Tell what a job has used. The engine's count where there is one; of a job that its caller
 * cancelled while it ran, the prompt as estimated and one token for each entry of output it had
 * been given; of any other that ended without a count, nothing.
 */
function usageOf({ owner, status, shown, end, gpuMs: earlierMs }: EndedJob): JobUsage {
  const { usage, gpu_ms: lastMs = 0 } = end.outcome;
  const gpuMs = earlierMs + lastMs;
  if (usage) {
    const { prompt_tokens: inputTokens, completion_tokens: outputTokens = 0 } = usage;
    return { inputTokens, outputTokens, gpuMs };
  }
  const isAbandoned = status === "cancelled" && shown > 0;
  return {
    inputTokens: isAbandoned ? owner.prompt : 0,
    outputTokens: isAbandoned ? shown : 0,
    gpuMs,
  };
}

/**
 * Read what a tenant's keys have used, from one day to another, both included: a row for each key,
 * model and day that had jobs.
 *
 * @param range days as `2026-11-25`
 */
export async function readUsage(
  redis: Redis,
  tenant: string,
  range: { readonly from: string; readonly to: string },
): Promise<DayUsage[]> {
  const days = daysBetween(range.from, range.to);
  const rows: DayUsage[] = [];
  for (let at = 0; at < days.length; at += READ_PAGE) {
    const page = days.slice(at, at + READ_PAGE);
    const read = await Promise.all(page.map((day) => redis.hgetall(keys.usage(tenant, day))));
    page.forEach((day, nth) => rows.push(...toRows(day, read[nth] ?? {})));
  }
  return rows;
}

function toRows(day: string, counters: Readonly<Record<string, string>>): DayUsage[] {
  const counts = new Map<string, Map<string, number>>();
  for (const [field, count] of Object.entries(counters)) {
    // Only the model's name may hold spaces.
    const [, key = "", what = "", model = ""] = /^(\S*) (\S*) (.*)$/s.exec(field) ?? [];
    const row = counts.get(`${key} ${model}`) ?? new Map<string, number>();
    counts.set(`${key} ${model}`, row.set(what, Number(count)));
  }
  return [...counts].map(([name, row]) => {
    const space = name.indexOf(" ");
    const count = (what: string): number => row.get(what) ?? 0;
    return {
      day,
      key: name.slice(0, space),
      model: name.slice(space + 1),
      jobs: count("jobs"),
      input_tokens: count("in"),
      output_tokens: count("out"),
      gpu_seconds: count("gpu") / (MICROSECONDS_PER_MS * 1_000),
      cost: count("cost") / BILLIONTHS,
    };
  });
}

/** The UTC day of an instant, as `2026-11-25`. */
export function toDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, "2026-11-25".length);
}

function daysBetween(from: string, to: string): string[] {
  const days: string[] = [];
  for (let ms = Date.parse(from); ms <= Date.parse(to); ms += DAY_MS) days.push(toDay(ms));
  return days;
}
