import { HeadraceError, type Headrace } from "@headrace/client";
import { ESTIMATE } from "@headrace/contract/token-estimate";

import { formatDuration } from "../duration.ts";
import { paint, type Terminal } from "../terminal.ts";
import type { BatchOptions } from "./batch-flags.ts";
import {
  ASK_MS,
  askPace,
  BatchSums,
  forecast,
  UNKNOWN_PACE,
  type Forecast,
  type Pace,
} from "./estimate.ts";
import { readRequests } from "../batch-input/read-requests.ts";
import type { Settled } from "../batch-input/request-line.ts";
import { toReading } from "./reading.ts";

/** What a dry run works with. */
interface DryRunContext {
  /** Asked for what is not given; null where there is none to ask. */
  readonly headrace: Headrace | null;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/** Stands for the model where neither command line, input nor a server names one: nothing is sent. */
const UNNAMED_MODEL = "unnamed";
const MEBIBYTE = 1_048_576;

/**
 * Check an input, and say what running it may take, without sending any of it. A server that can be
 * reached is asked how fast it is.
 *
 * @returns the exit code
 */
export async function dryRun(
  options: BatchOptions<"batch run">,
  { headrace, terminal, signal }: DryRunContext,
): Promise<number> {
  const sums = new BatchSums();
  const { settled } = await readRequests({
    ...toReading(options),
    findModel: () => findModel(headrace, signal),
    take: (line, whole) => sums.add(line, whole),
    signal,
  });
  const asked = headrace === null ? UNKNOWN_PACE : await askPace(headrace, settled.model, signal);
  const pace = withGiven(asked, options["tokens-per-second"]);
  const reckoned = forecast(sums, pace, options["gpu-hour-price"]);
  terminal.out.write(
    options.json
      ? `${JSON.stringify(toJson({ sums, settled, reckoned, pace }), null, 2)}\n`
      : `${render({ sums, settled, reckoned, pace }, terminal).join("\n")}\n`,
  );
  return 0;
}

async function findModel(headrace: Headrace | null, interrupt: AbortSignal): Promise<string> {
  const limit = AbortSignal.timeout(ASK_MS);
  const signal = AbortSignal.any([interrupt, limit]);
  try {
    const models = (await headrace?.models({ signal })) ?? [];
    return models[0]?.id ?? UNNAMED_MODEL;
  } catch (error) {
    if (error instanceof HeadraceError || error === limit.reason) return UNNAMED_MODEL;
    throw error;
  }
}

function withGiven(asked: Pace, tokensPerSecond: number | undefined): Pace {
  if (tokensPerSecond === undefined) return asked;
  return { ...asked, tokensPerSecond, paceSource: "as given" };
}

interface Estimate {
  readonly sums: BatchSums;
  readonly settled: Settled;
  readonly reckoned: Forecast;
  readonly pace: Pace;
}

function toJson({ sums, settled, reckoned, pace }: Estimate): object {
  return {
    object: "batch.estimate",
    endpoint: settled.endpoint,
    model: settled.model === UNNAMED_MODEL ? null : settled.model,
    requests: sums.requests,
    bytes: sums.sizeBytes,
    prompt_tokens: sums.promptTokens,
    most_output_tokens: sums.outputTokens,
    tokens_per_second: reckoned.tokensPerSecond,
    most_seconds: reckoned.seconds,
    most_cost: reckoned.cost,
    currency: pace.currency,
  };
}

function render({ sums, settled, reckoned, pace }: Estimate, { out }: Terminal): string[] {
  const { endpoint, model } = settled;
  const rows: [string, string][] = [
    ["requests", `${count(sums.requests)}, ${megabytes(sums.sizeBytes)} to upload`],
    ["for", model === UNNAMED_MODEL ? endpoint : `${endpoint} of ${model}`],
    [
      "tokens",
      `about ${count(sums.promptTokens)} in prompts (${ESTIMATE.bytesPerToken} bytes each), at most ${count(sums.outputTokens)} out`,
    ],
    ["time", describeTime(reckoned, pace)],
    ["cost", describeCost(reckoned, pace)],
  ];
  const lines = rows.map(([name, text]) => `  ${paint(out, "dim", name.padEnd(10))}${text}`);
  return [...lines, "", "  Nothing was sent."];
}

function describeTime({ seconds, tokensPerSecond }: Forecast, { paceSource }: Pace): string {
  if (seconds === null || tokensPerSecond === null) {
    return "not known: give --tokens-per-second, or a Headrace that has run some";
  }
  return `at most ${formatDuration(seconds)}, at ${count(Math.round(tokensPerSecond))} tokens/s, ${paceSource}`;
}

function describeCost({ cost }: Forecast, { currency }: Pace): string {
  if (cost === null) return "not known: give --gpu-hour-price and a pace, or a server with a price";
  return `at most ${cost.toFixed(cost < 1 ? 4 : 2)}${currency === null ? "" : ` ${currency}`}`;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function megabytes(sizeBytes: number): string {
  return `${(sizeBytes / MEBIBYTE).toFixed(1)} MiB`;
}
