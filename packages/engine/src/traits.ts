import { z } from "zod";

import { EngineError } from "./error.ts";
import { parseLoad } from "./gauges.ts";

/** What a server is and can do, as far as it tells without generating anything. */
export interface EngineTraits {
  readonly kind: "vllm" | "openai-compatible";
  readonly version: string | null;
  readonly models: readonly EngineModel[];
  /** Whether `load` answers: the server publishes vLLM's gauges. */
  readonly hasMetrics: boolean;
  /**
   * Whether it returns token ids (`return_token_ids`) and has `/detokenize`, so that a broken-off
   * generation can be continued. Per-request metrics are a server flag that nothing tells of: they
   * are there when an outcome's `metrics` is not null.
   */
  readonly hasTokenIds: boolean;
}

/** A model, or an adapter, that the server offers. */
export interface EngineModel {
  readonly id: string;
  /**
   * Most tokens of prompt and output together; null when the server does not say. An adapter's is its
   * model's: vLLM says it of models alone.
   */
  readonly maxModelLength: number | null;
}

/** The pages a server is known by; null for one that it does not have. */
export interface TraitPages {
  /** `/v1/models`, which every OpenAI-compatible server has. */
  readonly models: string;
  /** `/version`, vLLM's. */
  readonly version: string | null;
  /** `/metrics` */
  readonly metrics: string | null;
}

const modelsSchema = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      owned_by: z.string().nullish(),
      parent: z.string().nullish().catch(null),
      max_model_len: z.int().positive().nullish().catch(null),
    }),
  ),
});
const versionSchema = z.object({ version: z.string() });

/**
 * Tell from its pages what a server is.
 *
 * @throws EngineError engine_failed when the models are not listed in OpenAI's shape
 */
export function readTraits(pages: TraitPages): EngineTraits {
  const models = modelsSchema.safeParse(findJson(pages.models));
  if (!models.success) {
    throw new EngineError("engine_failed", "the engine does not list its models as OpenAI does");
  }
  const lengths = new Map(models.data.data.map(({ id, max_model_len: length }) => [id, length]));
  const hasMetrics = pages.metrics !== null && parseLoad(pages.metrics) !== null;
  const isVllm = hasMetrics || models.data.data.some((model) => model.owned_by === "vllm");
  const version = versionSchema.safeParse(findJson(pages.version ?? "")).data?.version ?? null;
  return {
    kind: isVllm ? "vllm" : "openai-compatible",
    version,
    models: models.data.data.map(({ id, parent, max_model_len: length }) => ({
      id,
      maxModelLength: length ?? lengths.get(parent ?? "") ?? null,
    })),
    hasMetrics,
    hasTokenIds: isVllm && version !== null && returnsTokenIds(version),
  };
}

/**
 * `return_token_ids` came with vLLM 0.10.2. A build from source without tags calls itself 0.1.dev…
 * and is done without.
 *
 * @see https://github.com/vllm-project/vllm/pull/22587
 */
function returnsTokenIds(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  if (major !== 0) return major > 0;
  return minor > 10 || (minor === 10 && patch >= 2);
}

function findJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
