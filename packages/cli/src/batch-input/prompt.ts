import type { BatchEndpoint } from "@headrace/contract";

import { writeValue, type Template } from "./template.ts";

/** Where a row's prompt is, as the command line has it; at most one of column and template. */
export interface PromptSource {
  /** The field that names a row; `custom_id` unless given. */
  readonly idColumn: string | undefined;
  /** The field that is the prompt. */
  readonly column: string | undefined;
  /** A text that is filled with fields. */
  readonly template: Template | undefined;
}

/** A prompt, and the fields that are the request's own. */
interface Found {
  /** Undefined where the request's own fields are the prompt, as `messages` are. */
  readonly prompt: unknown;
  readonly rest: Readonly<Record<string, unknown>>;
}

/** What a request's own prompt may be called, beside `prompt`. */
const OWN_PROMPTS: Readonly<Record<BatchEndpoint, string | null>> = {
  "/v1/chat/completions": "messages",
  "/v1/completions": null,
  "/v1/embeddings": "input",
  "/v1/responses": "input",
};

/**
 * Find a row's prompt: where the command line says, and then all other fields are data; else in
 * `prompt`, and then those of a line of JSON are the request's; else it is the only field there is.
 *
 * @param endpoint of a line of JSON; null for a row of a table, whose columns are data
 * @returns null when there is none
 */
export function findPrompt(
  fields: Readonly<Record<string, unknown>>,
  { source, endpoint }: { readonly source: PromptSource; readonly endpoint: BatchEndpoint | null },
): Found | null {
  const { column, template, idColumn = "custom_id" } = source;
  if (template !== undefined) {
    const isWhole = template.fields.every((name) => Object.hasOwn(fields, name));
    return isWhole ? { prompt: template.fill(fields), rest: {} } : null;
  }
  if (column !== undefined) return asData(Object.hasOwn(fields, column) ? fields[column] : null);
  const { prompt, [idColumn]: _id, ...rest } = fields;
  if (endpoint === null && prompt !== undefined) return asData(prompt);
  if (prompt !== undefined) return { prompt, rest };
  const own = endpoint === null ? null : OWN_PROMPTS[endpoint];
  if (own !== null && fields[own] !== undefined) return { prompt: undefined, rest };
  const names = Object.keys(rest);
  const [only] = names;
  return only !== undefined && names.length === 1 ? asData(fields[only]) : null;
}

function asData(value: unknown): Found | null {
  const prompt = writeValue(value);
  return prompt === "" ? null : { prompt, rest: {} };
}
