import { UsageError } from "../usage-error.ts";
import type { BatchOptions } from "./batch-flags.ts";
import type { InputReading } from "../batch-input/read-requests.ts";

/** What of a reading the command line says. @throws UsageError for flags that do not go together */
export function toReading(
  options: BatchOptions<"batch run">,
): Pick<InputReading, "path" | "format" | "lines"> {
  const { column, template, endpoint, model, system, temperature } = options;
  if (column !== undefined && template !== undefined) {
    throw new UsageError("--column and --template: expected one of both", "batch run");
  }
  const maxTokens = options["max-tokens"];
  if (endpoint === "/v1/embeddings" && (maxTokens ?? temperature ?? system) !== undefined) {
    throw new UsageError("embeddings take no --max-tokens, --temperature or --system", "batch run");
  }
  if (endpoint === "/v1/completions" && system !== undefined) {
    throw new UsageError("completions take no --system; write it into a --template", "batch run");
  }
  return {
    path: options.positionals[0],
    format: options.format,
    lines: {
      column,
      template,
      idColumn: options["id-column"],
      endpoint,
      model,
      system,
      maxTokens,
      temperature,
    },
  };
}
