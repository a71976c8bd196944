import {
  BATCH_ENDPOINTS,
  completionWindowSchema,
  metadataSchema,
  REQUEST_BOUNDS,
} from "@headrace/contract";
import { z } from "zod";

import { connectionFlags, jsonFlag, numberWithin } from "../flags.ts";
import { INPUT_FORMATS } from "../batch-input/rows.ts";
import { Template } from "../batch-input/template.ts";

/** A page of the API's batches. */
const MOST_LISTED = 100;
const DEFAULT_LISTED = 20;

/** `chat` and the like stand for the endpoint they end. */
const ENDPOINTS: Readonly<Record<string, string>> = {
  chat: "/v1/chat/completions",
  completions: "/v1/completions",
  embeddings: "/v1/embeddings",
  responses: "/v1/responses",
};

const batchId = z.string().regex(/^batch_\w+$/, "expected an id as `batch run` prints it: batch_…");
const oneBatch = z.tuple([batchId], "expected one batch id");
const positive = z.coerce.number("expected a number").positive("expected a number above 0");
const text = z.string().min(1, "expected a text");

/** `run=7,team=data` as pairs. */
const metadata = z
  .string()
  .transform((pairs, context) => {
    const entries = pairs.split(",").map((pair) => {
      const [name = "", ...rest] = pair.split("=");
      return { name: name.trim(), value: rest.join("="), isPair: rest.length > 0 };
    });
    if (entries.some(({ name, isPair }) => name === "" || !isPair)) {
      context.addIssue("expected pairs, as in run=7,team=data");
    }
    return Object.fromEntries(entries.map(({ name, value }) => [name, value]));
  })
  .pipe(metadataSchema);

const template = text
  .transform((given) => new Template(given))
  .refine(
    ({ fields }) => fields.length > 0,
    "expected a text with a field, as in 'Classify: {{text}}'",
  );

const endpoint = z
  .string()
  .transform((name) => ENDPOINTS[name] ?? name)
  .pipe(z.enum(BATCH_ENDPOINTS, "expected chat, completions, embeddings or responses"));

const run = z.strictObject({
  ...connectionFlags,
  ...jsonFlag,
  positionals: z.tuple([z.string().min(1)], "expected one input: a file, or - for standard input"),
  format: z.enum(INPUT_FORMATS, `expected ${INPUT_FORMATS.join(", ")}`).optional(),
  column: text.optional(),
  template: template.optional(),
  "id-column": text.optional(),
  model: text.optional(),
  endpoint: endpoint.optional(),
  system: text.optional(),
  "max-tokens": numberWithin(
    1,
    REQUEST_BOUNDS.tokens,
    `expected a whole number, 1 to ${REQUEST_BOUNDS.tokens}`,
  ).optional(),
  temperature: z.coerce
    .number("expected a number, 0 to 2")
    .min(0, "expected a number, 0 to 2")
    .max(2, "expected a number, 0 to 2")
    .optional(),
  output: text.optional(),
  "completion-window": completionWindowSchema.default("24h"),
  metadata: metadata.optional(),
  text: z.boolean().default(false),
  overwrite: z.boolean().default(false),
  "dry-run": z.boolean().default(false),
  "tokens-per-second": positive.optional(),
  "gpu-hour-price": positive.optional(),
});

/** Flags of the commands on batches. */
export const batchSchemas = {
  "batch run": run,
  "batch status": z.strictObject({ ...connectionFlags, ...jsonFlag, positionals: oneBatch }),
  "batch results": z.strictObject({
    ...connectionFlags,
    positionals: oneBatch,
    output: text.optional(),
    text: z.boolean().default(false),
  }),
  "batch cancel": z.strictObject({ ...connectionFlags, ...jsonFlag, positionals: oneBatch }),
  "batch list": z.strictObject({
    ...connectionFlags,
    ...jsonFlag,
    limit: numberWithin(1, MOST_LISTED, `expected a whole number, 1 to ${MOST_LISTED}`).default(
      DEFAULT_LISTED,
    ),
  }),
};

export type BatchCommandName = keyof typeof batchSchemas;
/** What was asked for of one of the commands on batches. */
export type BatchOptions<Name extends BatchCommandName> = z.infer<(typeof batchSchemas)[Name]>;

/** What a command line on batches asks for. */
export type BatchCommand = {
  [Name in BatchCommandName]: { readonly name: Name; readonly options: BatchOptions<Name> };
}[BatchCommandName];

/** Whether a command is one on batches. */
export function isBatchName(name: string): name is BatchCommandName {
  return Object.hasOwn(batchSchemas, name);
}
