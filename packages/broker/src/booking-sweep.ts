import { jobIdSchema, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { HoldSweep } from "./hold.ts";
import { keys } from "./keys.ts";
import { script } from "./script.ts";

const strike = script("strike", z.int());
const unbook = script("unbook", z.int());

const PAGE = 500;
/** Pages of one list in one pass: 5,000 jobs, so 1,000 forgotten a second. */
const PAGES_PER_PASS = 10;
/** A listed job without an entry is left alone this long: it may be on its way to its accept. */
const LATE_MS = 120_000;

/** Mends the tenants' slots: bookings that nothing followed, lists and holds of jobs that are no more. */
export class BookingSweep {
  readonly #redis: Redis;
  readonly #holds: HoldSweep;
  /** Where the next pass goes on in each tenant's list. */
  readonly #places = new Map<string, number>();

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#holds = new HoldSweep(redis);
  }

  /** Strike bookings whose job is accepted by now; undo those whose job never was. */
  async run(nowMs: number): Promise<number> {
    let unbooked = 0;
    for (const tenant of await this.#redis.smembers(keys.tenants)) {
      const list = keys.reserved(tenant);
      for (let page = 0; page < PAGES_PER_PASS; page += 1) {
        const due = await this.#redis.zrangebyscore(list, "-inf", nowMs, "LIMIT", 0, PAGE);
        const bookings = due.map(toBooking);
        const exist = await Promise.all(bookings.map(({ job }) => this.#exists(job)));
        const settled = due.filter((_booking, at) => exist[at]);
        if (settled.length > 0) await this.#redis.zrem(list, ...settled);
        for (const booking of bookings.filter((_booking, at) => !exist[at])) {
          unbooked += await this.#unbook(tenant, booking);
        }
        if (due.length < PAGE) break;
      }
      await this.#forgetOld(tenant, nowMs - LATE_MS);
      await this.#holds.run(tenant, nowMs);
    }
    return unbooked;
  }

  #unbook(tenant: string, { job, record, text }: Booking): Promise<number> {
    return unbook(
      this.#redis,
      [
        keys.jobs(tenant),
        keys.reserved(tenant),
        keys.stored(tenant),
        ...(record === "" ? [] : [record]),
      ],
      [job, text],
    );
  }

  /**
   * Drop from the tenant's list jobs whose entries are past their retention. The list is gone
   * through in turns, since what was booked first need not be forgotten first.
   */
  async #forgetOld(tenant: string, bookedBeforeMs: number): Promise<void> {
    const list = keys.jobs(tenant);
    for (let page = 0; page < PAGES_PER_PASS; page += 1) {
      const from = this.#places.get(list) ?? 0;
      const found = await this.#redis.zrangebyscore(
        list,
        "-inf",
        bookedBeforeMs,
        "LIMIT",
        from,
        PAGE,
      );
      const jobs = jobIdSchema.array().parse(found);
      const exist = await Promise.all(jobs.map((job) => this.#exists(job)));
      const gone = jobs.filter((_job, at) => !exist[at]);
      if (gone.length > 0) await strike(this.#redis, [list, keys.stored(tenant)], gone);
      this.#places.set(list, from + jobs.length - gone.length);
      if (jobs.length === PAGE) continue;
      this.#places.delete(list);
      return;
    }
  }

  async #exists(job: JobId): Promise<boolean> {
    return (await this.#redis.exists(keys.entry(job))) === 1;
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
