import type { DeliveryReport, ReceiverHealth } from "@headrace/broker";
import type { WebhookTry, WebhookTryError } from "@headrace/contract";

import { pauseAfter, readRetryAfter } from "./ladder.ts";
import type { Answer } from "./sender.ts";

/** The receiver wants nothing more. */
export const GONE = 410;
/** The receiver, or what stands before it, wants less: Standard Webhooks names these. */
const FULL: ReadonlySet<number> = new Set([429, 502, 504]);
const UNAVAILABLE = 503;
const REQUEST_TIMEOUT = 408;

/** What one try came to. */
export type TryResult = { readonly answer: Answer } | { readonly error: WebhookTryError };

/** When a try was made, and as which one. */
export interface TryPlace {
  /** Including this one. */
  readonly tries: number;
  readonly startedAtMs: number;
  readonly tookMs: number;
}

/**
 * Tell what becomes of a delivery after a try, and what the try says of its receiver.
 *
 * Only 2xx is delivered: a redirect is an answer like any other that is not. A receiver that refuses
 * an event (4xx) answers, and is not ill for that: only this event is tried again later.
 */
export function judge(result: TryResult, { tries, startedAtMs, tookMs }: TryPlace): DeliveryReport {
  const answer = "answer" in result ? result.answer : null;
  const status = answer?.status ?? null;
  const made: WebhookTry = {
    at: startedAtMs / 1_000,
    status_code: status,
    error: "error" in result ? result.error : null,
    seconds: Math.round(tookMs) / 1_000,
  };
  if (status !== null && status >= 200 && status < 300) {
    return { settlement: { state: "delivered" }, health: "well", pauseMs: 0, made };
  }
  if (status === GONE) {
    return {
      settlement: { state: "failed", failure: "gone" },
      health: "unknown",
      pauseMs: 0,
      made,
    };
  }
  const pauseMs = readRetryAfter(answer?.retryAfter ?? null, startedAtMs);
  const retryMs = pauseAfter(tries, pauseMs);
  return {
    settlement:
      retryMs === null ? { state: "failed", failure: "exhausted" } : { state: "pending", retryMs },
    health: healthOf(result, pauseMs),
    pauseMs,
    made,
  };
}

function healthOf(result: TryResult, pauseMs: number): ReceiverHealth {
  if ("error" in result) {
    // Nobody was asked: that says nothing of the receiver.
    const isOurs = result.error === "address_not_allowed" || result.error === "secret_missing";
    return isOurs ? "unknown" : "ill";
  }
  const { status } = result.answer;
  if (FULL.has(status) || (status === UNAVAILABLE && pauseMs > 0)) return "full";
  return status >= 500 || status === REQUEST_TIMEOUT ? "ill" : "unknown";
}
