import type {
  BatchBottleneck,
  BatchProgress,
  BatchWait,
  ErrorCode,
  PlatformError,
} from "@headrace/contract";

import type { Rates } from "./pace.ts";
import type { Tally } from "./results/result-buffer.ts";

const MS_PER_HOUR = 3_600_000;
/** Digits after the point that a rate or a cost is worth. */
const RATE_DIGITS = 100;
const COST_DIGITS = 1_000_000;

/** What of a batch tells how it gets on. */
export interface Situation {
  readonly tally: Tally;
  readonly rates: Rates | null;
  /** Lines without a result. */
  readonly linesLeft: number;
  readonly bottleneck: BatchBottleneck | null;
  readonly waitingFor: BatchWait | null;
  /** Of an hour of one GPU; 0 = not known. */
  readonly gpuHourPrice: number;
}

/** Say how a batch gets on, as the API shows it. */
export function toProgress(situation: Situation): BatchProgress {
  const { tally, rates, linesLeft, bottleneck, waitingFor, gpuHourPrice } = situation;
  const cost = (tally.gpuMs / MS_PER_HOUR) * gpuHourPrice;
  const isMoving = rates !== null && rates.linesPerSecond > 0;
  return {
    tokens: tally.usage.total_tokens,
    tokens_per_second: rates && round(rates.tokensPerSecond, RATE_DIGITS),
    lines_per_second: rates && round(rates.linesPerSecond, RATE_DIGITS),
    eta_seconds: isMoving ? Math.ceil(linesLeft / rates.linesPerSecond) : null,
    cost: gpuHourPrice > 0 ? round(cost, COST_DIGITS) : null,
    bottleneck,
    waiting_for: waitingFor,
  };
}

function round(value: number, digits: number): number {
  return Math.round(value * digits) / digits;
}

const WAITS: Readonly<Partial<Record<ErrorCode, BatchWait>>> = {
  storage_unavailable: "storage",
  storage_full: "storage_space",
  queue_unavailable: "queue",
  queue_full: "queue",
  deadline_unreachable: "queue",
  share_exceeded: "queue",
  job_of_later_version: "batcher",
};

/** What a failure means is waited for. @returns null for one that does not pass by itself */
export function toWait({ code }: PlatformError): BatchWait | null {
  return WAITS[code] ?? null;
}
