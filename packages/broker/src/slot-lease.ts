import type { ModelCode } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "./keys.ts";
import { script } from "./script.ts";

const lease = script("lease", z.literal([0, 1]));

/** Longer than a pass may take, short enough that one who died is soon replaced. */
const SLOT_LEASE_MS = 15_000;

/**
 * Take a model's slot, or keep it: one ingress at a time looks after each.
 *
 * @returns false when another has it
 */
export async function takeSlot(redis: Redis, code: ModelCode, ingress: string): Promise<boolean> {
  return take(redis, keys.sweep(code), ingress);
}

/** The same for the slots of all tenants. */
export async function takeTenants(redis: Redis, ingress: string): Promise<boolean> {
  return take(redis, keys.tenantSweep, ingress);
}

async function take(redis: Redis, key: string, ingress: string): Promise<boolean> {
  return (await lease(redis, [key], [ingress, SLOT_LEASE_MS])) === 1;
}
