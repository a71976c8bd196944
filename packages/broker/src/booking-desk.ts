import { findJobId, PlatformError, type JobId, type KeyLimits } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import {
  REFUSALS,
  toRefusal,
  toShareRefusal,
  type Allowance,
  type Asked,
  type Quota,
} from "./allowance.ts";
import { giveBack, parseHold, type Hold } from "./hold.ts";
import { toHold } from "./job-hold.ts";
import { keys } from "./keys.ts";
import type { Report } from "./redis.ts";
import { toRecord, toRecordKeys } from "./request-record.ts";
import { script } from "./script.ts";
import type { Submission } from "./submission.ts";
import { enterTenant } from "./tenant-rounds.ts";

const unbook = script("unbook", z.int());
const reserve = script(
  "reserve",
  z.tuple([z.literal([1, 0, -1, -2]), z.string(), z.literal([0, 1]), z.int()]),
);
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
    ...BUCKET_REPLY,
    ...BUCKET_REPLY,
  ]),
);

/** A booking that no accept follows within this time is undone by the sweep. */
const BOOKING_LEASE_MS = 60_000;
/** How long a tenant that was entered is taken to be there still: one round trip in so long. */
const TENANT_MS = 5_000;
/** Holds looked through at once. */
const PAGE = 1_000;
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

/** What a job takes of Redis, and what its tenant's jobs may. */
export interface Room {
  /** Beyond what every job takes. */
  readonly bytes: number;
  /** Null while nobody can have more than its share. */
  readonly mostBytes: number | null;
}

/** The verdict, the job's id, and whether nobody knows yet if it was accepted. */
type Reservation = [1 | 0 | -1, string, 0 | 1];

/** Books jobs with their tenants: idempotency, limits, the tenant's list and its share of Redis. */
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
  canRefuse({ idempotencyKey, limits }: Submission, { mostBytes }: Room): boolean {
    const isLimited = limits !== null || this.#addressLimit > 0;
    return idempotencyKey !== null || isLimited || mostBytes !== null;
  }

  /**
   * Book a job, or find the one that its Idempotency-Key has.
   *
   * @throws PlatformError `idempotency_key_reused`; `rate_limit_exceeded`, `job_limit_exceeded` or
   *   `insufficient_quota` where a limit forbids the job; `share_exceeded` where its tenant's jobs take
   *   as much of Redis as they may
   */
  async book(job: JobId, submission: Submission, room: Room): Promise<Booking> {
    const { tenant } = submission.spec;
    await this.#registerTenant(tenant);
    const isLimited = submission.limits !== null || this.#addressLimit > 0;
    const [verdict, text, isOpen] = isLimited
      ? await this.#reserveWithin(job, submission, room)
      : await this.#reserve(job, submission, room);
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

  /**
   * Find what was reserved for a job that a call before this one has booked: by now as much would not
   * be. Looks through all that its key has open.
   */
  async findReserved(id: JobId, submission: Submission): Promise<number | undefined> {
    if (submission.limits === null) return undefined;
    const { tenant, key, kind } = toHold(id, submission);
    const list = keys.held(tenant, key, kind);
    let cursor = "0";
    do {
      const [next, found] = await this.#redis.zscan(
        list,
        cursor,
        "MATCH",
        `${id} *`,
        "COUNT",
        PAGE,
      );
      const [hold] = found;
      if (hold !== undefined) return parseHold(hold).tokens;
      cursor = next;
    } while (cursor !== "0");
    return undefined;
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
          [keys.jobs(tenant), keys.reserved(tenant), keys.stored(tenant), ...record],
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
    await enterTenant(this.#redis, tenant);
    this.#tenants.set(tenant, nowMs);
  }

  async #reserve(job: JobId, submission: Submission, room: Room): Promise<Reservation> {
    const { tenant } = submission.spec;
    const record = toRecord(submission);
    const [verdict, text, isOpen, heldBytes] = await reserve(
      this.#redis,
      [keys.jobs(tenant), keys.reserved(tenant), keys.stored(tenant), ...toRecordKeys(record)],
      [
        job,
        BOOKING_LEASE_MS,
        room.bytes,
        room.mostBytes ?? 0,
        ...(record === null ? [] : [record.digest, record.keepMs, record.isFresh ? "1" : ""]),
      ],
    );
    if (verdict === -2) throw toShareRefusal({ heldBytes, mostBytes: room.mostBytes ?? 0 });
    return [verdict, text, isOpen];
  }

  async #reserveWithin(job: JobId, submission: Submission, room: Room): Promise<Reservation> {
    const { address = NOWHERE, onAllowance } = submission;
    const limits = submission.limits ?? {};
    const record = toRecord(submission);
    const hold = toHold(job, submission);
    const { tenant, key, kind, model } = hold;
    const [verdict, text, isOpen, reason, wait, ...quotas] = await reserveLimited(
      this.#redis,
      [
        keys.jobs(tenant),
        keys.reserved(tenant),
        keys.buckets(tenant, key),
        keys.held(tenant, key, kind),
        keys.owed(tenant),
        keys.holders(tenant),
        keys.address(tenant, address),
        keys.stored(tenant),
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
        room.bytes,
        room.mostBytes ?? 0,
      ],
    );
    onAllowance?.(toAllowance(quotas));
    if (reason === "memory") {
      throw toShareRefusal({ heldBytes: wait, mostBytes: room.mostBytes ?? 0 });
    }
    if (verdict === -2) {
      const asked: Asked = { ...hold, limits, addressLimit: this.#addressLimit };
      throw toRefusal(reason === "" ? "requests" : reason, wait, asked);
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

/** As the script tells it: of requests, tokens, and the same of the model. */
function toAllowance(told: readonly number[]): Allowance {
  const [requests = null, tokens = null, ofRequests = null, ofTokens = null] = [0, 3, 6, 9].map(
    (at) => toQuota(told.slice(at, at + BUCKET_REPLY.length)),
  );
  return { requests, tokens, ofModel: { requests: ofRequests, tokens: ofTokens } };
}

function toQuota([limit = 0, remaining = 0, resetMs = 0]: readonly number[]): Quota | null {
  return limit === 0 ? null : { limit, remaining, resetMs };
}
