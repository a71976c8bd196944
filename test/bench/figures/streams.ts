import type { Measurements } from "../figure.ts";
import { eventReaders } from "../loads/event-readers.ts";
import { readPeakRssBytes } from "../process-usage.ts";
import { type Bench, MODEL, Stack } from "../stack.ts";

const READERS = 1_000;
/** 10 tokens a second. */
const STEP_MS = 100;
const FEWEST_TOKENS = 120;
const MOST_TOKENS = 180;
const SLOTS = 1_024;
const RSS_LIMIT_MB = 400;
const GAP_LIMIT_MS = 300;
const BYTES_PER_MB = 1_000_000;

/** Measure whether one ingress serves 1,000 readers of 1,000 running jobs, and at what cost. */
export function measureStreams(bench: Bench): Promise<Measurements> {
  const engineFlags = [
    ["--step-ms", String(STEP_MS)],
    ["--max-num-seqs", String(SLOTS)],
    // The prompts' own time would lengthen the steps in which jobs arrive.
    ["--prefill-tokens-per-second", "1000000"],
  ].flat();
  const worker = {
    WORKER_MAX_IN_FLIGHT: String(SLOTS),
    WORKER_INITIAL_IN_FLIGHT: String(SLOTS),
  };
  return Stack.with(bench, { engineFlags, worker }, async (stack) => {
    bench.say(`reading ${READERS} streams`);
    const found = await stack.startLoad().run(eventReaders, {
      url: stack.api.url,
      headers: { ...stack.api.headers },
      model: MODEL,
      readers: READERS,
      fewestTokens: FEWEST_TOKENS,
      mostTokens: MOST_TOKENS,
    });
    const peakRssBytes = readPeakRssBytes(stack.pids.ingress);
    return {
      streams: atLeastAll(found.complete, "complete"),
      streams_at_once: atLeastAll(found.atOnce, "streams"),
      streams_rss_mb: {
        value: peakRssBytes / BYTES_PER_MB,
        unit: "MB",
        limit: { value: RSS_LIMIT_MB, bound: "at_most" },
      },
      streams_gap_p99_ms: {
        value: found.gapP99Ms,
        unit: "ms",
        limit: { value: GAP_LIMIT_MS, bound: "at_most" },
      },
      streams_gap_max_ms: { value: found.gapMaxMs, unit: "ms", limit: null },
    };
  });
}

function atLeastAll(value: number, unit: string): Measurements[string] {
  return { value, unit, limit: { value: READERS, bound: "at_least" } };
}
