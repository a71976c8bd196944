import { setTimeout as delay } from "node:timers/promises";

import type { Report } from "./redis.ts";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;
/** Longer than Redis takes to restart and load, far longer than any lock lives. */
const PATIENCE_MS = 300_000;

/**
 * Repeat a call until it is answered: for scripts that may run twice without harm, since a lost
 * reply says nothing about what was done.
 *
 * @throws the last failure, once 5 minutes have brought no answer
 */
export async function insist<Answer>(call: () => Promise<Answer>, report: Report): Promise<Answer> {
  const giveUpAtMs = performance.now() + PATIENCE_MS;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await call();
    } catch (error) {
      if (performance.now() > giveUpAtMs) throw error;
      report(new Error("no answer from Redis, asking again", { cause: error }));
      await delay(pauseMs);
    }
  }
}
