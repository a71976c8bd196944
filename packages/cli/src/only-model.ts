import type { Headrace } from "@headrace/client";

import { UsageError } from "./usage-error.ts";
import { CommandFailure } from "./failure.ts";

/**
 * Find the model that is meant where none is named: the only one there is.
 *
 * @throws UsageError where there are several; CommandFailure where there is none
 */
export async function onlyModel(
  headrace: Headrace,
  { command, signal }: { readonly command: string; readonly signal: AbortSignal },
): Promise<string> {
  const models = await headrace.models({ signal });
  const [first, second] = models;
  if (first === undefined) throw new CommandFailure("No worker has offered a model yet.");
  if (second === undefined) return first.id;
  const names = models.map(({ id }) => `  --model ${id}`).join("\n");
  throw new UsageError(`there are several models; choose one:\n${names}`, command);
}
