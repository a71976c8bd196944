import type { KnownModel } from "@headrace/broker";
import { PlatformError } from "@headrace/contract";

import type { Services } from "../services.ts";

/** A model, and the name that callers know it by. */
export interface ServedModel {
  readonly name: string;
  readonly model: KnownModel;
}

/**
 * Find the model of a call that was made for a server with only one: the one named, else the
 * operator's default, else the only one there is.
 *
 * @throws PlatformError `model_not_found` for one that no worker ever served, or when there is none
 * @throws PlatformError `request_invalid` when there are several, and none is the default
 */
export async function findServedModel(
  { broker, defaultModel }: Services,
  wanted: string | null,
): Promise<ServedModel> {
  const name = wanted ?? defaultModel;
  if (name !== null) return { name, model: await broker.getModel(name) };
  const models = [...(await broker.models())];
  // Aliases of one model share its code; its own name was entered first.
  const byCode = [...Map.groupBy(models, ([, { code }]) => code).values()];
  const [only] = byCode;
  const [owner] = only ?? [];
  if (owner === undefined) {
    throw new PlatformError("model_not_found", "no worker has served a model here yet", {
      param: "model",
    });
  }
  if (byCode.length === 1) return { name: owner[0], model: owner[1] };
  throw new PlatformError(
    "request_invalid",
    `${byCode.length} models are served here; name one (GET /v1/models lists them), or have the operator set HEADRACE_DEFAULT_MODEL`,
    { param: "model" },
  );
}
