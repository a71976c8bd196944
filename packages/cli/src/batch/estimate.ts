import { HeadraceError, type Headrace } from "@headrace/client";
import type { Batch, BatchEndpoint, EngineRequest } from "@headrace/contract";
import { estimateTokens, type TokenEstimate } from "@headrace/contract/token-estimate";

import type { RequestLine, Settled } from "../batch-input/request-line.ts";

/** A batch that took less time than this says little of how fast a longer one goes, s. */
const SHORTEST_SAMPLE_SECONDS = 5;
/** A server that has not told by then is reckoned without, ms: nobody waits for an estimate. */
export const ASK_MS = 3_000;
/** Batches looked at for one of the same model: the API's largest page. */
const LOOKED_AT = 100;

/** What the lines of a batch add up to, before any engine has seen them. */
export class BatchSums {
  requests = 0;
  sizeBytes = 0;
  promptTokens = 0;
  /** At most: what each line allows to be generated. */
  outputTokens = 0;

  add({ body, text }: RequestLine, { endpoint, model }: Settled): void {
    const { promptTokens, outputTokens } = estimate(endpoint, { ...body, model });
    this.requests += 1;
    this.sizeBytes += Buffer.byteLength(text) + 1;
    this.promptTokens += promptTokens;
    this.outputTokens += outputTokens;
  }
}

/** A response is estimated as the chat that it becomes. */
function estimate(endpoint: BatchEndpoint, request: EngineRequest): TokenEstimate {
  if (endpoint !== "/v1/responses") return estimateTokens(endpoint, request);
  const { input, instructions, tools, text, max_output_tokens: bound } = request;
  const said: unknown[] = Array.isArray(input) ? input : [{ content: input }];
  const messages = typeof instructions === "string" ? [{ content: instructions }, ...said] : said;
  const chat = { model: request.model, messages, tools, response_format: text };
  const max_completion_tokens = typeof bound === "number" ? bound : undefined;
  return estimateTokens("/v1/chat/completions", { ...chat, max_completion_tokens });
}

/** How fast a model goes, and what it costs. Null = not known. */
export interface Pace {
  readonly tokensPerSecond: number | null;
  /** What `tokensPerSecond` was learnt from, as words that end a sentence. */
  readonly paceSource: string | null;
  /** What a token costs, in the operator's currency. */
  readonly tokenPrice: number | null;
  /** What a token takes of one GPU, s. */
  readonly gpuSecondsPerToken: number | null;
  readonly currency: string | null;
}

export const UNKNOWN_PACE: Pace = {
  tokensPerSecond: null,
  paceSource: null,
  tokenPrice: null,
  gpuSecondsPerToken: null,
  currency: null,
};

/**
 * Ask a Headrace how fast it runs a model, and at what cost: by its last batch of it, else by what all
 * its jobs of the last 30 days took of a GPU. A server that does not answer knows nothing.
 */
export async function askPace(
  headrace: Headrace,
  model: string,
  interrupt: AbortSignal,
): Promise<Pace> {
  const limit = AbortSignal.timeout(ASK_MS);
  const signal = AbortSignal.any([interrupt, limit]);
  try {
    const { data, currency } = await headrace.usage({ groupBy: ["model"] }, { signal });
    const row = data.find(({ model: name }) => name === model);
    const tokens = (row?.input_tokens ?? 0) + (row?.output_tokens ?? 0);
    const gpuSeconds = row?.gpu_seconds ?? 0;
    const cost = row?.cost ?? 0;
    const hasUsage = tokens > 0 && gpuSeconds > 0;
    const ran = await findLastPace(headrace, model, signal);
    return {
      tokensPerSecond: ran?.tokensPerSecond ?? (hasUsage ? tokens / gpuSeconds : null),
      paceSource: ran?.source ?? (hasUsage ? "as one GPU had in the last 30 days" : null),
      tokenPrice: tokens > 0 && cost > 0 ? cost / tokens : null,
      gpuSecondsPerToken: hasUsage ? gpuSeconds / tokens : null,
      currency,
    };
  } catch (error) {
    if (error instanceof HeadraceError || error === limit.reason) return UNKNOWN_PACE;
    throw error;
  }
}

async function findLastPace(
  headrace: Headrace,
  model: string,
  signal: AbortSignal,
): Promise<{ readonly tokensPerSecond: number; readonly source: string } | null> {
  const { data } = await headrace.batches.list({ limit: LOOKED_AT }, { signal });
  for (const batch of data) {
    if (batch.model !== model) continue;
    const tokensPerSecond = paceOf(batch);
    if (tokensPerSecond !== null) return { tokensPerSecond, source: `as ${batch.id} had` };
  }
  return null;
}

function paceOf({
  usage,
  in_progress_at: begun,
  finalizing_at: done,
  progress,
}: Batch): number | null {
  if (done === null) return progress.tokens_per_second || null;
  const seconds = begun === null ? 0 : done - begun;
  const tokens = usage?.total_tokens ?? 0;
  return seconds >= SHORTEST_SAMPLE_SECONDS && tokens > 0 ? tokens / seconds : null;
}

/** What a batch may take. Null = not known. */
export interface Forecast {
  readonly tokens: number;
  readonly tokensPerSecond: number | null;
  readonly seconds: number | null;
  readonly cost: number | null;
}

/**
 * Reckon what a batch may take at most.
 *
 * @param gpuHourPrice of one GPU; then the cost is reckoned by it, at what a token took of a GPU, or
 *   else as if one GPU alone had the pace
 */
export function forecast(
  { promptTokens, outputTokens }: BatchSums,
  pace: Pace,
  gpuHourPrice: number | undefined,
): Forecast {
  const tokens = promptTokens + outputTokens;
  const { tokensPerSecond, tokenPrice } = pace;
  const seconds = tokensPerSecond === null ? null : tokens / tokensPerSecond;
  const gpuSeconds = pace.gpuSecondsPerToken === null ? seconds : tokens * pace.gpuSecondsPerToken;
  const byPrice = tokenPrice === null ? null : tokens * tokenPrice;
  const byHour =
    gpuHourPrice === undefined || gpuSeconds === null ? null : (gpuSeconds / 3_600) * gpuHourPrice;
  return { tokens, tokensPerSecond, seconds, cost: gpuHourPrice === undefined ? byPrice : byHour };
}
