import { PlatformError, type KeyLimits } from "@headrace/contract";

import type { HoldKind } from "./hold.ts";

/** How much of one limit a minute is left. */
export interface Quota {
  /** Most at once, and what comes again within a minute. */
  readonly limit: number;
  readonly remaining: number;
  /** Until all of it is there again, ms. */
  readonly resetMs: number;
}

/** How much of limits a minute is left; null where there is none. */
export interface Quotas {
  readonly requests: Quota | null;
  readonly tokens: Quota | null;
}

/** How much of a key's limits is left. */
export interface Allowance extends Quotas {
  /** Of the model that was asked for, where one was. */
  readonly ofModel: Quotas;
}

/** Which limit let a job not in, and for how long; the script names them so. */
export const REFUSALS = [
  "requests",
  "tokens",
  "address",
  "jobs",
  "month_tokens",
  "month_cost",
  "memory",
] as const;
export type Refusal = (typeof REFUSALS)[number];
/** The same for metrics, with what no limit of the key's is to blame for. */
export const REFUSAL_REASONS = [...REFUSALS, "deadline"] as const;

/** What a refused job had asked for. */
export interface Asked {
  readonly limits: KeyLimits;
  readonly model: string;
  readonly tokens: number;
  readonly kind: HoldKind;
  /** Requests a minute from one address. */
  readonly addressLimit: number;
}

/** What the job of a refusal by memory had asked for. */
export interface AskedBytes {
  /** What the tenant's jobs take of Redis. */
  readonly heldBytes: number;
  /** What they may take, as full as it is. */
  readonly mostBytes: number;
}

/** When a job may have ended that is in the way: nobody knows, so it is a guess. */
const JOBS_RETRY_MS = 1_000;
/** When there may be room: a guess, too. */
const MEMORY_RETRY_MS = 10_000;
const BYTES_PER_MEBIBYTE = 1_048_576;
const MS_PER_SECOND = 1_000;

/**
 * Put a refusal into words.
 *
 * @param waitMs until it would be let in; below 0 when it would not be, however long it waits
 * @returns `rate_limit_exceeded`, `job_limit_exceeded` or `insufficient_quota`
 */
export function toRefusal(
  reason: Exclude<Refusal, "memory">,
  waitMs: number,
  asked: Asked,
): PlatformError {
  const { limits, model, tokens, kind } = asked;
  const ofModel = limits.models?.[model];
  switch (reason) {
    case "requests":
    case "address": {
      const limit =
        reason === "address"
          ? asked.addressLimit
          : leastOf(limits.requests_per_minute, ofModel?.requests_per_minute);
      const whose = reason === "address" ? "your address" : "this key";
      const what = `${whose} may make ${limit} requests a minute`;
      return limitReached(what, { waitMs, reason });
    }
    case "tokens": {
      const limit = leastOf(limits.tokens_per_minute, ofModel?.tokens_per_minute);
      const asks = `this request reserves ${tokens} tokens, prompt and most output together, and this key may use ${limit} a minute`;
      if (waitMs >= 0) return limitReached(asks, { waitMs, reason });
      const message = `${asks}; lower max_tokens, or the prompt`;
      return new PlatformError("rate_limit_exceeded", message, { waitMs: null, reason });
    }
    case "jobs": {
      const message =
        kind === "now"
          ? `this key may have ${limits.concurrent_jobs} calls open at once; wait until one has ended`
          : `this key may have ${limits.queued_jobs} jobs open; wait until one has ended`;
      return new PlatformError("job_limit_exceeded", message, { waitMs: JOBS_RETRY_MS, reason });
    }
    case "month_tokens": {
      const message = `this key may use ${limits.monthly_tokens} tokens a month (UTC), and with the ${tokens} that this request reserves it would be more`;
      return new PlatformError("insufficient_quota", message, { waitMs: null, reason });
    }
    case "month_cost": {
      const message = `this key has spent the ${limits.monthly_cost} that it may cost a month (UTC)`;
      return new PlatformError("insufficient_quota", message, { waitMs: null, reason });
    }
  }
}

/** Say that a tenant's jobs take as much of Redis as they may. @returns `share_exceeded` */
export function toShareRefusal({ heldBytes, mostBytes }: AskedBytes): PlatformError {
  const [held, most] = [heldBytes, mostBytes].map((bytes) =>
    (bytes / BYTES_PER_MEBIBYTE).toFixed(1),
  );
  const message = `your jobs take ${held} MiB of the queue's memory, and may take ${most} MiB while it is as full as now; the job is not accepted: delete jobs that have ended, have them kept for less time (retention_seconds), or wait until some are over`;
  return new PlatformError("share_exceeded", message, {
    waitMs: MEMORY_RETRY_MS,
    reason: "memory",
  });
}

/**
 * Say that a job could not start in time, and from when on it could: as the queue drains, the same
 * job would come to stand so that it starts at its deadline.
 */
export function toDeadlineRefusal(deadlineMs: number, etaSeconds: number): PlatformError {
  const waitMs = Math.max(Math.ceil(etaSeconds * MS_PER_SECOND - deadlineMs), MS_PER_SECOND);
  const [eta, deadline, wait] = [etaSeconds, deadlineMs / MS_PER_SECOND, waitMs / MS_PER_SECOND];
  const message = `the queue is long: at its present pace the job would start in about ${eta.toFixed(0)} s, and its deadline to start is ${deadline} s; it is not accepted, try again in ${wait.toFixed(0)} s or allow it more time`;
  return new PlatformError("deadline_unreachable", message, { waitMs, reason: "deadline" });
}

function limitReached(
  what: string,
  { waitMs, reason }: { readonly waitMs: number; readonly reason: Refusal },
): PlatformError {
  const seconds = (waitMs / MS_PER_SECOND).toFixed(3);
  const message = `${what}; the job is not accepted, try again in ${seconds} s`;
  return new PlatformError("rate_limit_exceeded", message, { waitMs, reason });
}

/** The least of limits, of which some may not be there; without any, no number is too great. */
export function leastOf(...limits: (number | undefined)[]): number {
  return Math.min(...limits.map((limit) => limit ?? Number.POSITIVE_INFINITY));
}
