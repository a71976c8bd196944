import type { JobEnd, Latency, Stage } from "@headrace/contract";

/** What a waterfall is made from: the ledger's record of a job that has ended. */
export interface EndedJob {
  readonly id: string;
  /** How long the ingress took from the request's arrival to the accept, ms. */
  readonly admitMs: number;
  readonly end: JobEnd;
}

/**
 * Tell where a job's time went. The stages are ≥ 0 and sum to `total_seconds`.
 *
 * Boundaries between processes are Redis' instants; the worker's own clock only divides the time
 * between two of them, so clocks that differ can shift time inside a pair but never invent any.
 */
export function latencyOf({ id, admitMs, end }: EndedJob): Latency {
  const { at, outcome } = end;
  const { timings } = outcome;
  const firstClaimed = at.first_claimed ?? at.ended;
  const claimed = Math.max(at.claimed ?? firstClaimed, firstClaimed);
  // A token of an attempt that was given up can be older than the last claim.
  const firstToken = Math.max(at.first_token ?? at.ended, claimed);

  const beforeToken = split(firstToken - claimed, [
    timings?.dispatch_ms ?? 0,
    timings?.engine_queue_ms ?? 0,
  ]);
  const [dispatch = 0, engineQueue = 0, prefill = 0] = beforeToken;
  const [decode = 0, finish = 0] = split(at.ended - firstToken, [
    timings?.decode_ms ?? (at.first_token === undefined ? 0 : Number.POSITIVE_INFINITY),
  ]);
  const isEstimated = timings !== undefined && timings.engine_queue_ms === null;
  const stages: Stage[] = [
    toStage("admit", admitMs),
    toStage("queue", firstClaimed - at.accepted),
    toStage("lost_attempts", claimed - firstClaimed),
    toStage("dispatch", dispatch),
    toStage("engine_queue", engineQueue, isEstimated),
    toStage("prefill", prefill, isEstimated),
    toStage("decode", decode),
    toStage("finish", finish),
  ];
  // The last attempt has decoded only a part of the tokens when it went on from another's.
  const hasGoneOn = at.first_shown !== undefined;
  return {
    job: id,
    total_seconds: sum(stages),
    ttft_seconds: firstTokenSeconds(at, { admitMs, stages }),
    tpot_seconds: hasGoneOn ? null : timePerToken(decode, outcome.usage?.completion_tokens ?? 0),
    stages,
    attempts: end.attempts,
  };
}

/** The first token that stands may be an earlier attempt's than the one that the stages are of. */
function firstTokenSeconds(
  { accepted, first_shown: firstShown, first_token: firstToken }: JobEnd["at"],
  last: { readonly admitMs: number; readonly stages: readonly Stage[] },
): number | null {
  if (firstShown !== undefined) return (last.admitMs + firstShown - accepted) / 1_000;
  return firstToken === undefined ? null : sum(last.stages.slice(0, 6));
}

/** Cut parts off a span in turn, each no longer than what is left; the rest is the last part. */
function split(spanMs: number, partsMs: readonly number[]): number[] {
  let leftMs = Math.max(spanMs, 0);
  const cut = partsMs.map((partMs) => {
    const takenMs = Math.min(partMs, leftMs);
    leftMs -= takenMs;
    return takenMs;
  });
  return [...cut, leftMs];
}

function toStage(stage: Stage["stage"], ms: number, isEstimated = false): Stage {
  const seconds = Math.max(ms, 0) / 1_000;
  return isEstimated ? { stage, seconds, estimated: true } : { stage, seconds };
}

function timePerToken(decodeMs: number, outputTokens: number): number | null {
  return outputTokens < 2 ? null : decodeMs / 1_000 / (outputTokens - 1);
}

function sum(stages: readonly Stage[]): number {
  return stages.reduce((total, { seconds }) => total + seconds, 0);
}
