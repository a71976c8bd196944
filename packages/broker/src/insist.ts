import { setTimeout as delay } from "node:timers/promises";

import type { Redis } from "ioredis";

import type { Report } from "./redis.ts";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;
/** Longer than Redis takes to restart and load, far longer than any lock lives. */
const PATIENCE_MS = 300_000;

/** Replies that say "not now": Redis is loading, full, failing over, without its replicas, or busy with a script. */
const NOT_NOW = /^(LOADING|OOM|READONLY|NOREPLICAS|BUSY|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|MISCONF) /;

/**
 * Time between two calls that a full Redis is asked again: eight a second, however many wait, so
 * that all a worker asks in vain stays below ten.
 */
const TURN_MS = 125;

/** Gives calls that a full Redis refused their turns to be repeated, one after the other. */
export class Turns {
  #lastAtMs = Number.NEGATIVE_INFINITY;

  /** Take the next turn. @returns how long it is until then, ms */
  take(): number {
    const nowMs = performance.now();
    this.#lastAtMs = Math.max(this.#lastAtMs + TURN_MS, nowMs + LONGEST_PAUSE_MS);
    return this.#lastAtMs - nowMs;
  }
}

/** What repeated calls share. */
export interface Insistence {
  readonly redis: Redis;
  readonly turns: Turns;
  readonly report: Report;
  /** Aborted when the process has no more time to wait for answers. */
  readonly signal: AbortSignal;
}

/**
 * Repeat a call until it is answered: for scripts that may run twice without harm, since a lost
 * reply says nothing about what was done. An answer that we do not understand is an answer.
 *
 * @throws the last failure, once 5 minutes have brought no answer; the signal's reason once it is
 *   aborted; at once what no repetition can mend
 */
export async function insist<Answer>(
  call: () => Promise<Answer>,
  { redis, turns, report, signal }: Insistence,
): Promise<Answer> {
  const giveUpAtMs = performance.now() + PATIENCE_MS;
  for (let lostPauseMs = FIRST_PAUSE_MS; ;) {
    let pauseMs = lostPauseMs;
    // Once nobody waits for it, a command would only hold up the process until it times out.
    signal.throwIfAborted();
    try {
      return await call();
    } catch (error) {
      if (performance.now() > giveUpAtMs || !isLost(error)) throw error;
      report(new Error("no answer from Redis, asking again", { cause: error }));
      if (isFull(error)) pauseMs = turns.take();
      else lostPauseMs = Math.min(lostPauseMs * 2, LONGEST_PAUSE_MS);
    }
    // While there is no connection, asking would only lengthen the queue of what is to be resent.
    do await delay(pauseMs, undefined, { signal }).catch(() => {});
    while (redis.status !== "ready" && !signal.aborted && performance.now() < giveUpAtMs);
  }
}

/** Whether Redis has no memory left for the call. */
function isFull(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("OOM ");
}

/** Whether nobody knows what became of the call, or Redis asks to be asked again. */
export function isLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === "ReplyError"
    ? NOT_NOW.test(error.message)
    : error.name !== "ZodError" && error.name !== "TypeError";
}
