import { jobIdSchema, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { HoldSweep } from "./hold-sweep.ts";
import { findGone } from "./job-presence.ts";
import { keys } from "./keys.ts";
import { PassBudget } from "./pass-budget.ts";
import { script } from "./script.ts";
import { TenantRounds } from "./tenant-rounds.ts";

const strike = script("strike", z.int());
const unbook = script("unbook", z.int());

/**
 * Commands of one pass, after which no further tenant is visited: some 600 a second. A tenant that
 * has little takes five.
 */
const PASS_COMMANDS = 3_000;
const PAGE = 500;
/** Pages of one list in one visit: 5,000 jobs. */
const PAGES_PER_VISIT = 10;
/** A listed job without an entry is left alone this long: it may be on its way to its accept. */
const LATE_MS = 120_000;

/**
 * Mends the tenants' slots: bookings that nothing followed, lists and holds of jobs that are no more.
 * However many tenants there are, a pass sends about as many commands; the next goes on from there.
 */
export class BookingSweep {
  readonly #redis: Redis;
  readonly #rounds: TenantRounds;
  readonly #holds: HoldSweep;
  /** Where the next visit goes on in each tenant's list. */
  readonly #places = new Map<string, number>();

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#rounds = new TenantRounds(redis);
    this.#holds = new HoldSweep(redis);
  }

  /** Strike bookings whose job is accepted by now; undo those whose job never was. */
  async run(nowMs: number): Promise<number> {
    let unbooked = 0;
    const budget = new PassBudget(PASS_COMMANDS);
    await this.#rounds.run(budget, async (tenant) => {
      unbooked += await this.#mendBookings(tenant, nowMs, budget);
      await this.#forgetOld(tenant, nowMs - LATE_MS, budget);
      await this.#holds.run(tenant, nowMs, budget);
    });
    return unbooked;
  }

  async #mendBookings(tenant: string, nowMs: number, budget: PassBudget): Promise<number> {
    const list = keys.reserved(tenant);
    let unbooked = 0;
    for (let page = 0; page < PAGES_PER_VISIT; page += 1) {
      budget.spend(1);
      const due = await this.#redis.zrangebyscore(list, "-inf", nowMs, "LIMIT", 0, PAGE);
      const bookings = due.map(toBooking);
      const jobs = bookings.map(({ job }) => job);
      const gone = await findGone(this.#redis, jobs, budget);
      const settled = bookings.filter(({ job }) => !gone.has(job)).map(({ text }) => text);
      budget.spend(gone.size);
      if (settled.length > 0) await this.#redis.zrem(list, ...settled);
      for (const booking of bookings.filter(({ job }) => gone.has(job))) {
        unbooked += await this.#unbook(tenant, booking);
      }
      if (due.length < PAGE) break;
    }
    return unbooked;
  }

  #unbook(tenant: string, { job, record, text }: Booking): Promise<number> {
    const lists = [keys.jobs(tenant), keys.reserved(tenant), keys.stored(tenant)];
    return unbook(this.#redis, [...lists, ...(record === "" ? [] : [record])], [job, text]);
  }

  /**
   * Drop from the tenant's list jobs whose entries are past their retention. The list is gone
   * through in turns, since what was booked first need not be forgotten first.
   */
  async #forgetOld(tenant: string, bookedBeforeMs: number, budget: PassBudget): Promise<void> {
    const list = keys.jobs(tenant);
    for (let page = 0; page < PAGES_PER_VISIT; page += 1) {
      const from = this.#places.get(list) ?? 0;
      budget.spend(1);
      const found = await this.#redis.zrangebyscore(
        list,
        "-inf",
        bookedBeforeMs,
        "LIMIT",
        from,
        PAGE,
      );
      const jobs = jobIdSchema.array().parse(found);
      const gone = await findGone(this.#redis, jobs, budget);
      budget.spend(gone.size);
      if (gone.size > 0) await strike(this.#redis, [list, keys.stored(tenant)], [...gone]);
      this.#places.set(list, from + jobs.length - gone.size);
      if (jobs.length === PAGE) continue;
      this.#places.delete(list);
      return;
    }
  }
}

/** A booking as `reserve` writes it: the job, and the record of its Idempotency-Key or "". */
interface Booking {
  readonly job: JobId;
  readonly record: string;
  readonly text: string;
}

function toBooking(text: string): Booking {
  const space = text.indexOf(" ");
  return { job: jobIdSchema.parse(text.slice(0, space)), record: text.slice(space + 1), text };
}
