import { createHash } from "node:crypto";

import { findJobId, PlatformError, type JobId, type KeyLimits } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { REFUSALS, toRefusal, type Asked, type Quota } from "./allowance.ts";
import { giveBack, type Hold } from "./hold.ts";
import { keys } from "./keys.ts";
import type { Report } from "./redis.ts";
import { script } from "./script.ts";
import type { Submission } from "./submission.ts";
import { estimateTokens } from "./token-estimate.ts";

const unbook = script("unbook", z.int());
const reserve = script("reserve", z.tuple([z.literal([1, 0, -1]), z.string(), z.literal([0, 1])]));
/** Limit, what is left, and ms until it is full. */
const BUCKET_REPLY = [z.int(), z.int(), z.int()] as const;
const reserveLimited = script(
  "reserve-limited",
  z.tuple([
    z.literal([1, 0, -1, -2]),
    z.string(),
    z.literal([0, 1]),
    z.enum(["", ...REFUSALS]),
    z.int(),
    ...BUCKET_REPLY,
    ...BUCKET_REPLY,
  ]),
);

/** A booking that no accept follows within this time is undone by the sweep. */
const BOOKING_LEASE_MS = 60_000;
/** How long a tenant that was entered is taken to be there still: one round trip in so long. */
const TENANT_MS = 5_000;
/** OpenAI and Stripe remember a key for a day at the least. */
const IDEMPOTENCY_MS = 24 * 3_600 * 1_000;
/** Costs are counted in whole billionths. */
const BILLIONTHS = 1e9;
/** The address of a caller that has none: a connection that is closed by now. */
const NOWHERE = "-";

/** What came of booking a job. */
export interface Booking {
  readonly id: JobId;
  readonly isNew: boolean;
  /** Nobody knows yet whether it was accepted. */
  readonly isOpen: boolean;
}

/** Books jobs with their tenants: idempotency, limits, the tenant's list. */
export class BookingDesk {
  readonly #redis: Redis;
  readonly #addressLimit: number;
  readonly #report: Report;
  /** When each was last entered, on the process' monotonic clock. */
  readonly #tenants = new Map<string, number>();

  /** @param addressLimit requests a minute from one address, of each tenant; 0 = any number */
  constructor(redis: Redis, addressLimit: number, report: Report) {
    this.#redis = redis;
    this.#addressLimit = addressLimit;
    this.#report = report;
  }

  /** Whether a job may be refused here, so that its accept has to wait for the booking. */
  canRefuse({ idempotencyKey, limits }: Submission): boolean {
    return idempotencyKey !== null || limits !== null || this.#addressLimit > 0;
  }

  /**
   * Book a job, or find the one that its Idempotency-Key has.
   *
   * @throws PlatformError `idempotency_key_reused`; `rate_limit_exceeded`, `job_limit_exceeded` or
   *   `insufficient_quota` where a limit forbids the job
   */
  async book(job: JobId, submission: Submission): Promise<Booking> {
    const { tenant } = submission.spec;
    await this.#registerTenant(tenant);
    const isLimited = submission.limits !== null || this.#addressLimit > 0;
    const [verdict, text, isOpen] = isLimited
      ? await this.#reserveWithin(submission.limits ?? {}, job, submission)
      : await this.#reserve(job, submission);
    const id = findJobId(text);
    if (id === null) throw new PlatformError("internal", "the ledger answered with no job id");
    if (verdict === -1) {
      throw new PlatformError(
        "idempotency_key_reused",
        "this Idempotency-Key was used for a different request; use a new key, or repeat the first request unchanged",
      );
    }
    return { id, isNew: verdict === 1, isOpen: isOpen === 1 };
  }

  /** The job is accepted: its booking must not be taken for one that came to nothing. */
  async settle(id: JobId, tenant: string, idempotencyKey: string | null): Promise<void> {
    if (idempotencyKey === null) return;
    const booking = `${id} ${keys.once(tenant, idempotencyKey)}`;
    try {
      await this.#redis.zrem(keys.reserved(tenant), booking);
    } catch (error) {
      this.#report(new Error("a settled booking is left to the sweep", { cause: error }));
    }
  }

  /** The job was refused after all: leave nothing of it. What cannot be undone now, the sweep undoes. */
  async undo(id: JobId, submission: Submission): Promise<void> {
    const { spec, idempotencyKey, limits } = submission;
    const { tenant } = spec;
    const record = idempotencyKey === null ? [] : [keys.once(tenant, idempotencyKey)];
    try {
      await Promise.all([
        unbook(
          this.#redis,
          [keys.jobs(tenant), keys.reserved(tenant), ...record],
          [id, `${id} ${record.join("")}`],
        ),
        limits === null ? null : giveBack(this.#redis, toHold(id, submission), 0),
      ]);
    } catch (error) {
      this.#report(new Error("undoing a refused job is left to the sweep", { cause: error }));
    }
  }

  /** Enter a tenant whose slot the sweep is to mend; again and again, since Redis may forget it. */
  async #registerTenant(tenant: string): Promise<void> {
    const nowMs = performance.now();
    const enteredAtMs = this.#tenants.get(tenant) ?? Number.NEGATIVE_INFINITY;
    if (nowMs < enteredAtMs + TENANT_MS) return;
    await this.#redis.sadd(keys.tenants, tenant);
    this.#tenants.set(tenant, nowMs);
  }

  async #reserve(job: JobId, submission: Submission): Promise<[1 | 0 | -1, string, 0 | 1]> {
    const { tenant } = submission.spec;
    const key = submission.idempotencyKey;
    return reserve(
      this.#redis,
      [keys.jobs(tenant), keys.reserved(tenant), ...(key ? [keys.once(tenant, key)] : [])],
      [
        job,
        BOOKING_LEASE_MS,
        ...(key ? [digestOf(submission), IDEMPOTENCY_MS + submission.deadlineMs] : []),
      ],
    );
  }

  async #reserveWithin(
    limits: KeyLimits,
    job: JobId,
    submission: Submission,
  ): Promise<[1 | 0 | -1, string, 0 | 1]> {
    const { idempotencyKey: once, address = NOWHERE, onAllowance } = submission;
    const hold = toHold(job, submission);
    const { tenant, key, kind, model } = hold;
    const [verdict, text, isOpen, reason, waitMs, ...quotas] = await reserveLimited(
      this.#redis,
      [
        keys.jobs(tenant),
        keys.reserved(tenant),
        keys.buckets(tenant, key),
        keys.held(tenant, key, kind),
        keys.owed(tenant),
        keys.holders(tenant),
        keys.address(tenant, address),
        ...(once ? [keys.once(tenant, once)] : []),
      ],
      [
        job,
        BOOKING_LEASE_MS,
        once ? digestOf(submission) : "",
        once ? IDEMPOTENCY_MS + submission.deadlineMs : "",
        keys.tenantSlot(tenant),
        key,
        model,
        hold.tokens,
        ...this.#toLimits(limits, hold),
        new Date().toISOString().slice(0, "2026-11".length),
        submission.limits === null ? "" : "1",
      ],
    );
    const [requestLimit, requestsLeft, requestsReset, tokenLimit, tokensLeft, tokensReset] = quotas;
    onAllowance?.({
      requests: toQuota(requestLimit, requestsLeft, requestsReset),
      tokens: toQuota(tokenLimit, tokensLeft, tokensReset),
    });
    if (verdict === -2) {
      const asked: Asked = { ...hold, limits, addressLimit: this.#addressLimit };
      throw toRefusal(reason === "" ? "requests" : reason, waitMs, asked);
    }
    return [verdict, text, isOpen];
  }

  #toLimits(limits: KeyLimits, { kind, model }: Hold): number[] {
    const ofModel = limits.models?.[model];
    return [
      limits.requests_per_minute ?? 0,
      limits.tokens_per_minute ?? 0,
      ofModel?.requests_per_minute ?? 0,
      ofModel?.tokens_per_minute ?? 0,
      this.#addressLimit,
      (kind === "now" ? limits.concurrent_jobs : limits.queued_jobs) ?? 0,
      limits.monthly_tokens ?? 0,
      Math.round((limits.monthly_cost ?? 0) * BILLIONTHS),
    ];
  }
}

/** The key of a job that names none: the operator's own. */
export const ROOT_KEY = "root";

/** What a job takes of its key's limits, where it has any. */
export function toHold(job: JobId, { spec, attachedTo }: Submission): Hold {
  const { tenant, key = ROOT_KEY, endpoint, request } = spec;
  const { promptTokens, outputTokens } = estimateTokens(endpoint, request);
  return {
    job,
    tenant,
    key,
    kind: attachedTo === null ? "later" : "now",
    tokens: promptTokens + outputTokens,
    model: request.model,
  };
}

function toQuota(limit: number, remaining: number, resetMs: number): Quota | null {
  return limit === 0 ? null : { limit, remaining, resetMs };
}

/**
 * Two requests under one Idempotency-Key are the same when all that the caller chose is the same.
 * It may repeat them with another API key of its tenant: its own may just have been replaced.
 */
function digestOf({ spec, askedRequest, deadlineMs, retentionMs }: Submission): string {
  const { admit_ms: _timing, key: _apiKey, ...chosen } = spec;
  const asked = { ...chosen, request: askedRequest ?? chosen.request };
  return createHash("sha256")
    .update(JSON.stringify([asked, deadlineMs, retentionMs]))
    .digest("base64url");
}
