import { jobIdSchema, type JobId } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import { script } from "./script.ts";

const giveBackScript = script("give-back", z.literal([0, 1]));

/**
 * A job for later, or a call whose caller waits: each counts against a limit of its own. A line of a
 * batch counts against budgets alone.
 */
export const HOLD_KINDS = ["later", "now", "line"] as const;
export type HoldKind = (typeof HOLD_KINDS)[number];

/** What an open job takes of its key's limits. */
export interface Hold {
  readonly job: JobId;
  readonly tenant: string;
  readonly key: string;
  readonly kind: HoldKind;
  /** Reserved for it. */
  readonly tokens: number;
  readonly model: string;
}

/**
 * Give back what a job held, but for the tokens that it has used. Giving it back again does nothing.
 *
 * @returns whether it held anything
 */
export async function giveBack(redis: Redis, hold: Hold, usedTokens: number): Promise<boolean> {
  const { job, tenant, key, kind, tokens, model } = hold;
  const given = await giveBackScript(
    redis,
    [keys.held(tenant, key, kind)],
    [keys.tenantSlot(tenant), key, kind, job, tokens, model, usedTokens],
  );
  return given === 1;
}

const PAGE = 500;
/** Pages of one list in one pass: a long list is gone through over several passes. */
const PAGES_PER_PASS = 10;
/** A hold without an entry is left alone this long: its job may be on its way to its accept. */
const LATE_MS = 120_000;

/** Gives back what jobs hold that are no more, or never came to be. */
export class HoldSweep {
  readonly #redis: Redis;
  /** Where the next pass goes on in each list. */
  readonly #places = new Map<string, number>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Look through a tenant's holds. @returns how many were given back */
  async run(tenant: string, nowMs: number): Promise<number> {
    let given = 0;
    for (const key of await this.#redis.smembers(keys.holders(tenant))) {
      for (const kind of HOLD_KINDS) given += await this.#walk({ tenant, key, kind }, nowMs);
    }
    return given;
  }

  async #walk(
    place: { readonly tenant: string; readonly key: string; readonly kind: HoldKind },
    nowMs: number,
  ): Promise<number> {
    const list = keys.held(place.tenant, place.key, place.kind);
    let given = 0;
    for (let page = 0; page < PAGES_PER_PASS; page += 1) {
      const from = this.#places.get(list) ?? 0;
      const oldest = nowMs - LATE_MS;
      const found = await this.#redis.zrangebyscore(list, "-inf", oldest, "LIMIT", from, PAGE);
      const ofPage = await Promise.all(
        found.map((text) => this.#giveBackOrphan({ ...place, ...parseHold(text) })),
      );
      const gone = ofPage.filter(Boolean).length;
      given += gone;
      this.#places.set(list, from + found.length - gone);
      if (found.length === PAGE) continue;
      this.#places.delete(list);
      break;
    }
    return given;
  }

  /** @returns whether the job is no more, and held something */
  async #giveBackOrphan(hold: Hold): Promise<boolean> {
    if ((await this.#redis.exists(keys.entry(hold.job))) === 1) return false;
    return giveBack(this.#redis, hold, 0);
  }
}

/** Read a hold as the scripts write it: only the model's name may hold spaces. */
function parseHold(text: string): Pick<Hold, "job" | "tokens" | "model"> {
  const [, job, tokens, model = ""] = /^(\S+) (\S+) (.*)$/s.exec(text) ?? [];
  return { job: jobIdSchema.parse(job), tokens: Number(tokens), model };
}
