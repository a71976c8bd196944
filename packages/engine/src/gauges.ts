/** How busy an engine is, over all its engine processes. */
export interface EngineLoad {
  /** Requests being generated. */
  readonly running: number;
  /** Requests in the engine's own queue. */
  readonly waiting: number;
  /** Share of the fullest engine's key-value cache in use, 0 to 1; 0 when it does not say. */
  readonly kvCacheUsage: number;
}

/**
 * One sample of a gauge in Prometheus' text format. `gpu_cache_usage_perc` is what vLLM called
 * its cache gauge before 0.9.
 *
 * @see https://docs.vllm.ai/en/latest/design/metrics
 */
const SAMPLE =
  /^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc|gpu_cache_usage_perc)(?:\{.*\})?[ \t]+([-+.\deE]+)/gm;

/**
 * Read vLLM's load from its `/metrics` page.
 *
 * @returns null when the page is not vLLM's: it lacks the running and waiting gauges
 */
export function parseLoad(page: string): EngineLoad | null {
  let running: number | null = null;
  let waiting: number | null = null;
  let kvCacheUsage = 0;
  for (const [, gauge, text] of page.matchAll(SAMPLE)) {
    const value = Number(text);
    if (!Number.isFinite(value)) continue;
    if (gauge === "num_requests_running") running = (running ?? 0) + value;
    else if (gauge === "num_requests_waiting") waiting = (waiting ?? 0) + value;
    else kvCacheUsage = Math.max(kvCacheUsage, value);
  }
  return running === null || waiting === null ? null : { running, waiting, kvCacheUsage };
}
