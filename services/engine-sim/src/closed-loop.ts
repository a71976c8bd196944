import { type Profile, stepMs } from "./profile.ts";
import { Scheduler } from "./scheduler.ts";
import { Sequence } from "./sequence.ts";

/** A load as benchmarks apply it: a fixed number of clients, each sending again when answered. */
export interface ClosedLoop {
  readonly clients: number;
  readonly requests: number;
  /** Tokens at the start of every prompt that all prompts share. */
  readonly sharedTokens: number;
  /** Tokens of each prompt that are its own. */
  readonly ownTokens: number;
  readonly outputTokens: number;
}

/** What a benchmark of that load would report. */
export interface LoopResult {
  readonly requestsPerSecond: number;
  readonly outputTokensPerSecond: number;
}

/**
 * Work out how a profile fares under a load, in virtual time.
 *
 * The scheduler and the step times alone: no clock, no waiting, no HTTP.
 */
export function runClosedLoop(profile: Profile, loop: ClosedLoop): LoopResult {
  const scheduler = new Scheduler(profile);
  let nowMs = 0;
  let sent = 0;
  let answered = 0;
  const send = (): void => {
    if (sent < loop.requests) scheduler.add(makeSequence(loop, sent++, nowMs));
  };
  for (let client = 0; client < loop.clients; client++) send();
  while (answered < loop.requests) {
    const plan = scheduler.plan(nowMs);
    if (plan.sequences.length === 0) throw new Error("nothing can run");
    nowMs += stepMs(profile.times, plan.load);
    for (const sequence of plan.sequences) {
      scheduler.computed(sequence);
      if (sequence.computedTokens === sequence.length) sequence.outputIds.push(0);
      if (sequence.outputIds.length < loop.outputTokens) continue;
      scheduler.remove(sequence);
      answered += 1;
      send();
    }
  }
  const seconds = nowMs / 1_000;
  return {
    requestsPerSecond: answered / seconds,
    outputTokensPerSecond: (answered * loop.outputTokens) / seconds,
  };
}

function makeSequence(loop: ClosedLoop, ordinal: number, nowMs: number): Sequence {
  const shared = Array.from({ length: loop.sharedTokens }, (_, index) => index % 200);
  const own = Array.from({ length: loop.ownTokens }, (_, index) => (ordinal * 31 + index) % 251);
  const options = {
    promptIds: [...shared, ...own],
    seed: 0,
    maxTokens: loop.outputTokens,
    minTokens: 0,
    ignoreEos: true,
    stopTokenIds: [],
    priority: 0,
    sink: { token: () => false, finished: () => {} },
  };
  return new Sequence(options, ordinal, nowMs);
}
