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

/** Read a hold as the scripts write it: only the model's name may hold spaces. */
export function parseHold(text: string): Pick<Hold, "job" | "tokens" | "model"> {
  const [, job, tokens, model = ""] = /^(\S+) (\S+) (.*)$/s.exec(text) ?? [];
  return { job: jobIdSchema.parse(job), tokens: Number(tokens), model };
}
