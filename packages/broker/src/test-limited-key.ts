import { PlatformError, type JobId, type KeyLimits } from "@headrace/contract";
import type { Redis } from "ioredis";

import type { Allowance } from "./allowance.ts";
import type { IngressBroker } from "./ingress-broker.ts";
import { keys } from "./keys.ts";
import { MODEL, submission } from "./test-bench.ts";

/** A request of one token for its message's mark, four in all, and so many of output. */
export function requestOf(
  maxTokens: number,
  model = MODEL,
): { model: string; [field: string]: unknown } {
  return { model, messages: [{ role: "user", content: "" }], max_tokens: maxTokens };
}
const MARK_TOKENS = 4;

/** Submit a job of a key that has limits. @returns why it was refused, or its id */
export async function trySubmit(
  ingress: IngressBroker,
  limits: KeyLimits,
  choices: { tokens?: number; key?: string; idempotencyKey?: string; address?: string } = {},
): Promise<{ id: JobId | null; error: PlatformError | null; allowance: Allowance | null }> {
  const { tokens = 100, key = "k1", idempotencyKey = null, address = "192.0.2.1" } = choices;
  const given: Allowance[] = [];
  try {
    const whole = await submission(ingress, {
      key,
      limits,
      request: requestOf(tokens - MARK_TOKENS),
      idempotencyKey,
    });
    const onAllowance = (allowance: Allowance): void => void given.push(allowance);
    const { id } = await ingress.submit({ ...whole, address, onAllowance });
    return { id, error: null, allowance: given[0] ?? null };
  } catch (error) {
    if (!(error instanceof PlatformError)) throw error;
    return { id: null, error, allowance: given[0] ?? null };
  }
}

/** Count the jobs that the key holds places for. */
export async function held(redis: Redis, kind: "later" | "now" = "later"): Promise<number> {
  return redis.zcard(keys.held("default", "k1", kind));
}
