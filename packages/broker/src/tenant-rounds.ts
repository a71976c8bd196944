import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import type { PassBudget } from "./pass-budget.ts";
import { script } from "./script.ts";

const enter = script("enter-tenant", z.literal(1));
const adopt = script("adopt-tenants", z.int());
const leave = script("leave-tenants", z.int());

/** Tenants looked up at once. */
const PAGE = 100;
/**
 * What an entry was made for has come after this, or never will: an ingress enters a tenant again
 * every 5 s while it books for it.
 */
const ENTRY_MS = 60_000;

/** Enter a tenant whose slot is about to hold something that the sweep may have to mend. */
export async function enterTenant(redis: Redis, tenant: string): Promise<void> {
  await enter(redis, [keys.booked], [tenant]);
}

/**
 * Goes round the tenants that were entered, over as many passes as it takes: each pass begins where
 * the one before it stopped. Those whose slots hold nothing leave.
 */
export class TenantRounds {
  readonly #redis: Redis;
  #cursor = "0";
  /** Looked up, and not yet visited. */
  #pending: string[] = [];

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Visit tenants until the budget is spent, or the round is over. */
  async run(budget: PassBudget, visit: (tenant: string) => Promise<void>): Promise<void> {
    budget.spend(1);
    await adopt(this.#redis, [keys.booked, keys.earlierTenants], [PAGE]);
    do {
      if (this.#pending.length === 0) await this.#lookUp(budget);
      await this.#visitPending(budget, visit);
    } while (!budget.isSpent && this.#cursor !== "0");
  }

  async #lookUp(budget: PassBudget): Promise<void> {
    budget.spend(1);
    const [cursor, page] = await this.#redis.zscan(keys.booked, this.#cursor, "COUNT", PAGE);
    this.#cursor = cursor;
    this.#pending = page.filter((_entry, at) => at % 2 === 0);
  }

  async #visitPending(budget: PassBudget, visit: (tenant: string) => Promise<void>): Promise<void> {
    const idle: string[] = [];
    while (this.#pending.length > 0 && !budget.isSpent) {
      const [tenant = ""] = this.#pending.splice(0, 1);
      budget.spend(1);
      if (await this.#holdsSomething(tenant)) await visit(tenant);
      else idle.push(tenant);
    }
    if (idle.length === 0) return;
    budget.spend(1);
    await leave(this.#redis, [keys.booked], [ENTRY_MS, ...idle]);
  }

  async #holdsSomething(tenant: string): Promise<boolean> {
    const held = [keys.jobs(tenant), keys.reserved(tenant), keys.holders(tenant)];
    return (await this.#redis.exists(...held)) > 0;
  }
}
