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
/** How long OpenAI's SDK may take to repeat a call: it waits for an answer for ten minutes. */
const SDK_RETRY_MS = 600_000;
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
  async settle(id: JobId, submission: Submission): Promise<void> {
    const record = toRecord(submission);
    if (record === null) return;
    try {
      await this.#redis.zrem(keys.reserved(submission.spec.tenant), `${id} ${record.key}`);
    } catch (error) {
      this.#report(new Error("a settled booking is left to the sweep", { cause: error }));
    }
  }

  /** Find the job that a call of OpenAI's SDK made when it was made last. */
  async findRepeated(submission: Submission): Promise<JobId | null> {
    const record = toRecord(submission);
    const kept = record === null ? null : await this.#redis.get(record.key);
    return kept === null ? null : findJobId(kept.split(" ")[1] ?? "");
  }

  /** The job was refused after all: leave nothing of it. What cannot be undone now, the sweep undoes. */
  async undo(id: JobId, submission: Submission): Promise<void> {
    const { spec, limits } = submission;
    const { tenant } = spec;
    const record = toRecordKeys(toRecord(submission));
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
    const record = toRecord(submission);
    return reserve(
      this.#redis,
      [keys.jobs(tenant), keys.reserved(tenant), ...toRecordKeys(record)],
      [
        job,
        BOOKING_LEASE_MS,
        ...(record === null ? [] : [record.digest, record.keepMs, record.isFresh ? "1" : ""]),
      ],
    );
  }

  async #reserveWithin(
    limits: KeyLimits,
    job: JobId,
    submission: Submission,
  ): Promise<[1 | 0 | -1, string, 0 | 1]> {
    const { address = NOWHERE, onAllowance } = submission;
    const record = toRecord(submission);
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
        ...toRecordKeys(record),
      ],
      [
        job,
        BOOKING_LEASE_MS,
        record?.digest ?? "",
        record?.keepMs ?? "",
        keys.tenantSlot(tenant),
        key,
        model,
        hold.tokens,
        ...this.#toLimits(limits, hold),
        new Date().toISOString().slice(0, "2026-11".length),
        submission.limits === null ? "" : "1",
        record?.isFresh === true ? "1" : "",
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
      ...toBudgets(limits),
    ];
  }
}

/** Most tokens of a month, and most cost in billionths; 0 for any. */
export function toBudgets({ monthly_tokens: tokens = 0, monthly_cost: cost }: KeyLimits): number[] {
  // 0 is no limit, so the smallest that is one must not become it.
  return [tokens, cost === undefined ? 0 : Math.max(1, Math.round(cost * BILLIONTHS))];
}

/** The key of a job that names none: the operator's own. */
export const ROOT_KEY = "root";

/** What a job takes of its key's limits, where it has any. */
export function toHold(job: JobId, { spec, attachedTo, batch }: Submission): Hold {
  const { tenant, key = ROOT_KEY, endpoint, request } = spec;
  const { promptTokens, outputTokens } = estimateTokens(endpoint, request);
  return {
    job,
    tenant,
    key,
    kind: batch !== undefined ? "line" : attachedTo === null ? "later" : "now",
    tokens: promptTokens + outputTokens,
    model: request.model,
  };
}

function toQuota(limit: number, remaining: number, resetMs: number): Quota | null {
  return limit === 0 ? null : { limit, remaining, resetMs };
}

/** What is remembered of a request, so that it is known when it comes again. */
interface RequestRecord {
  readonly key: string;
  readonly digest: string;
  readonly keepMs: number;
  /** It is a new job whatever is remembered under the same key. */
  readonly isFresh: boolean;
}

function toRecord(submission: Submission): RequestRecord | null {
  const { spec, attachedTo, deadlineMs, idempotencyKey, sdkTry } = submission;
  const { tenant, key = ROOT_KEY } = spec;
  if (idempotencyKey !== null) {
    const keepMs = IDEMPOTENCY_MS + deadlineMs;
    const digest = digestOf(submission);
    return { key: keys.once(tenant, idempotencyKey), digest, keepMs, isFresh: false };
  }
  if (sdkTry === undefined) return null;
  const kind = attachedTo === null ? "later" : "now";
  const digest = digestOf(submission);
  const again = keys.again(tenant, `${kind} ${key} ${digest}`);
  return { key: again, digest, keepMs: SDK_RETRY_MS, isFresh: true };
}

function toRecordKeys(record: RequestRecord | null): string[] {
  return record === null ? [] : [record.key];
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
