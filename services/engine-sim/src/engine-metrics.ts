import { family, Histogram, sample } from "./exposition.ts";
import type { SchedulerCounts } from "./scheduler.ts";
import type { FinishReason, Sequence } from "./sequence.ts";

// Buckets as in vLLM's vllm/v1/metrics/loggers.py.
const FIRST_TOKEN_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640, 2560,
];
const INTER_TOKEN_BUCKETS = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const REQUEST_BUCKETS = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];

/** Why admission was refused. */
export type RejectionReason = "queued_reqs" | "queued_tokens";

/** What the engine is doing at this moment. */
export interface EngineState {
  readonly running: number;
  readonly waiting: number;
  /** 0 to 1. */
  readonly cacheUsage: number;
  readonly scheduler: SchedulerCounts;
}

/** Everything the engine counts, under vLLM's names. */
export class EngineMetrics {
  promptTokens = 0;
  generationTokens = 0;
  started = 0;
  readonly finished: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0 };
  readonly rejections: Record<RejectionReason, number> = { queued_reqs: 0, queued_tokens: 0 };
  readonly interToken = new Histogram(INTER_TOKEN_BUCKETS);
  readonly firstToken = new Histogram(FIRST_TOKEN_BUCKETS);
  readonly #tokenMean = new Histogram(INTER_TOKEN_BUCKETS);
  readonly #endToEnd = new Histogram(REQUEST_BUCKETS);
  readonly #queue = new Histogram(REQUEST_BUCKETS);
  readonly #prefill = new Histogram(REQUEST_BUCKETS);
  readonly #decode = new Histogram(REQUEST_BUCKETS);

  /** Record the end of a sequence at `nowMs`. */
  recordEnd(sequence: Sequence, reason: FinishReason, nowMs: number): void {
    this.finished[reason] += 1;
    this.#endToEnd.observe((nowMs - sequence.arrivedAtMs) / 1000);
    const { scheduledAtMs, firstTokenAtMs, lastTokenAtMs } = sequence;
    if (scheduledAtMs === null) return;
    this.#queue.observe((scheduledAtMs - sequence.arrivedAtMs) / 1000);
    if (firstTokenAtMs === null || lastTokenAtMs === null) return;
    this.#prefill.observe((firstTokenAtMs - scheduledAtMs) / 1000);
    const decodeSeconds = (lastTokenAtMs - firstTokenAtMs) / 1000;
    this.#decode.observe(decodeSeconds);
    const intervals = sequence.outputIds.length - 1;
    if (intervals > 0) this.#tokenMean.observe(decodeSeconds / intervals);
  }

  /** Write everything in the Prometheus text format. */
  expose(modelName: string, state: EngineState): string {
    const labels = { model_name: modelName, engine: "0" };
    const single = (name: string, help: string, value: number): string =>
      family(name.endsWith("_total") ? "counter" : "gauge", { name, help }, [
        sample(name, labels, value),
      ]);
    return [
      single("vllm:num_requests_running", "Requests in the running batch.", state.running),
      single("vllm:num_requests_waiting", "Requests waiting to be scheduled.", state.waiting),
      single("vllm:kv_cache_usage_perc", "KV-cache usage; 1 means full.", state.cacheUsage),
      single("vllm:prompt_tokens_total", "Prompt tokens processed.", this.promptTokens),
      single("vllm:generation_tokens_total", "Tokens generated.", this.generationTokens),
      single(
        "vllm:num_preemptions_total",
        "Preemptions of running requests.",
        state.scheduler.preemptions,
      ),
      single(
        "vllm:prefix_cache_queries_total",
        "Tokens looked up in the prefix cache.",
        state.scheduler.prefixQueries,
      ),
      single(
        "vllm:prefix_cache_hits_total",
        "Tokens found in the prefix cache.",
        state.scheduler.prefixHits,
      ),
      ...this.#exposeReasons(labels),
      ...this.#exposeHistograms(labels),
    ].join("");
  }

  #exposeReasons(labels: Readonly<Record<string, string>>): string[] {
    const finished = { name: "vllm:request_success_total", help: "Requests by how they ended." };
    const rejected = {
      name: "vllm:admission_rejections_total",
      help: "Requests refused because the queue was full.",
    };
    return [
      family(
        "counter",
        finished,
        Object.entries(this.finished).map(([reason, count]) =>
          sample(finished.name, { ...labels, finished_reason: reason }, count),
        ),
      ),
      family(
        "counter",
        rejected,
        Object.entries(this.rejections).map(([reason, count]) =>
          sample(rejected.name, { ...labels, reason }, count),
        ),
      ),
    ];
  }

  #exposeHistograms(labels: Readonly<Record<string, string>>): string[] {
    const histograms: readonly (readonly [string, string, Histogram])[] = [
      ["time_to_first_token", "Time from arrival to the first token.", this.firstToken],
      ["inter_token_latency", "Time between two tokens.", this.interToken],
      ["request_time_per_output_token", "Mean time per token of a request.", this.#tokenMean],
      ["e2e_request_latency", "Time from arrival to the end.", this.#endToEnd],
      ["request_queue_time", "Time from arrival to being scheduled.", this.#queue],
      ["request_prefill_time", "Time from being scheduled to the first token.", this.#prefill],
      ["request_decode_time", "Time from the first token to the last.", this.#decode],
    ];
    return histograms.map(([shortName, help, histogram]) => {
      const name = `vllm:${shortName}_seconds`;
      return family("histogram", { name, help }, histogram.samples(name, labels));
    });
  }
}
