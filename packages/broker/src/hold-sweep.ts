import type { Redis } from "ioredis";
import { z } from "zod";

import { giveBack, HOLD_KINDS, parseHold, type HoldKind } from "./hold.ts";
import { findGone } from "./job-presence.ts";
import { keys } from "./keys.ts";
import type { PassBudget } from "./pass-budget.ts";
import { script } from "./script.ts";

const lookHolders = script("look-holders", z.tuple([z.string()], z.string()));

/** Keys of one tenant looked at in one visit, about: many are gone through over several. */
const KEYS_PER_VISIT = 50;
const PAGE = 500;
/** Pages of one list in one visit: a long list is gone through over several. */
const PAGES_PER_VISIT = 4;
/** A hold without an entry is left alone this long: its job may be on its way to its accept. */
const LATE_MS = 120_000;

/** Open jobs of one key, of one kind. */
interface HoldList {
  readonly tenant: string;
  readonly key: string;
  readonly kind: HoldKind;
}

/** Gives back what jobs hold that are no more, or never came to be. */
export class HoldSweep {
  readonly #redis: Redis;
  /** Where the next visit goes on in each list, and among each tenant's keys. */
  readonly #places = new Map<string, number>();
  readonly #cursors = new Map<string, string>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Look through some of a tenant's holds, beginning where the visit before stopped. */
  async run(tenant: string, nowMs: number, budget: PassBudget): Promise<void> {
    budget.spend(1);
    const [cursor, ...found] = await lookHolders(
      this.#redis,
      [keys.holders(tenant), keys.owed(tenant)],
      [keys.tenantSlot(tenant), this.#cursors.get(tenant) ?? "0", KEYS_PER_VISIT],
    );
    if (cursor === "0") this.#cursors.delete(tenant);
    else this.#cursors.set(tenant, cursor);
    for (let at = 0; at < found.length; at += 2) {
      const [key = "", kind] = found.slice(at, at + 2);
      const ofKind = HOLD_KINDS.find((known) => known === kind);
      if (ofKind !== undefined) await this.#walk({ tenant, key, kind: ofKind }, nowMs, budget);
    }
  }

  async #walk(place: HoldList, nowMs: number, budget: PassBudget): Promise<void> {
    const list = keys.held(place.tenant, place.key, place.kind);
    const oldest = nowMs - LATE_MS;
    for (let page = 0; page < PAGES_PER_VISIT; page += 1) {
      const from = this.#places.get(list) ?? 0;
      budget.spend(1);
      const found = await this.#redis.zrangebyscore(list, "-inf", oldest, "LIMIT", from, PAGE);
      const given = await this.#giveBackOrphans(place, found, budget);
      this.#places.set(list, from + found.length - given);
      if (found.length === PAGE) continue;
      this.#places.delete(list);
      return;
    }
  }

  /** @returns how many held something of jobs that are no more */
  async #giveBackOrphans(
    place: HoldList,
    found: readonly string[],
    budget: PassBudget,
  ): Promise<number> {
    const holds = found.map((text) => ({ ...place, ...parseHold(text) }));
    const gone = await findGone(
      this.#redis,
      holds.map(({ job }) => job),
      budget,
    );
    const orphans = holds.filter(({ job }) => gone.has(job));
    budget.spend(orphans.length);
    const given = await Promise.all(orphans.map((hold) => giveBack(this.#redis, hold, 0)));
    return given.filter(Boolean).length;
  }
}
