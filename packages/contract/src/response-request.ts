import { z } from "zod";

import { metadataSchema } from "./job.ts";
import { REQUEST_BOUNDS } from "./request.ts";

/** OpenAI's bounds on what a request says of itself. */
const BOUNDS = {
  tools: 128,
  name: 64,
  identifier: 512,
} as const;

const name = z
  .string()
  .regex(/^[\w-]+$/, "expected letters, digits, _ and -")
  .max(BOUNDS.name);
const identifier = z.string().max(BOUNDS.identifier).nullish();
const jsonSchema = z.looseObject({});

/** A function that the model may call, flat as the Responses API has it. */
const functionTool = z.strictObject({
  type: z.literal(
    "function",
    "only functions are served, which the caller runs itself; Headrace runs no tools of its own",
  ),
  name,
  description: z.string().nullish(),
  parameters: jsonSchema.nullish(),
  strict: z.boolean().nullish(),
  // OpenAI's, for models that search tools, run programs, or go on before an answer is there. Here each
  // tool is before the model from the start, called by it alone, and answered in the next request.
  defer_loading: z.boolean().nullish(),
  allowed_callers: z
    .array(z.enum(["direct", "programmatic"]))
    .refine(
      (callers) => callers.includes("direct"),
      'no program calls tools here; leave it out, or send "direct" too',
    )
    .nullish(),
  async: z
    .literal(false, "the answer to a call comes with the next request; leave it out or send false")
    .nullish(),
  output_schema: jsonSchema.nullish(),
});
export type FunctionTool = z.infer<typeof functionTool>;

const toolChoice = z.union([
  z.enum(["none", "auto", "required"]),
  z.strictObject({
    type: z.literal(
      "function",
      "only a function can be chosen; to allow some tools and not others, send those alone",
    ),
    name,
  }),
]);
export type ToolChoice = z.infer<typeof toolChoice>;

const textFormat = z.discriminatedUnion(
  "type",
  [
    z.strictObject({ type: z.literal("text") }),
    z.strictObject({ type: z.literal("json_object") }),
    z.strictObject({
      type: z.literal("json_schema"),
      name,
      schema: jsonSchema,
      description: z.string().nullish(),
      strict: z.boolean().nullish(),
    }),
  ],
  "expected a type of text, json_object or json_schema",
);
export type TextFormat = z.infer<typeof textFormat>;

const text = z.strictObject({
  format: textFormat.nullish(),
  verbosity: z
    .literal("medium", "engines take no verbosity; ask for it in the instructions")
    .nullish(),
});

const reasoning = z.strictObject({
  effort: z.enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"]).nullish(),
  summary: z
    .literal("auto", "nothing is summarised; reasoning comes whole, in the content of its items")
    .nullish(),
});

/** What more a response may hold; of these only log probabilities are ever there to be given. */
const include = z.enum([
  "message.output_text.logprobs",
  "reasoning.encrypted_content",
  "message.input_image.image_url",
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "code_interpreter_call.outputs",
  "computer_call_output.output.image_url",
]);

/**
 * Body of `POST /v1/responses`. Input items are validated by their types; fields not named here
 * reach the engine as sent.
 */
export const responseRequestSchema = z.looseObject({
  model: z.string().min(1).max(REQUEST_BOUNDS.modelLength),
  input: z.union([
    z.string().min(1),
    z.array(z.looseObject({})).min(1).max(REQUEST_BOUNDS.messages),
  ]),
  instructions: z.string().nullish(),
  background: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .strictObject({
      include_obfuscation: z
        .literal(false, "streams are not obfuscated; leave it out or send false")
        .nullish(),
    })
    .nullish(),
  store: z.boolean().nullish(),
  max_output_tokens: z.int().min(1).max(REQUEST_BOUNDS.tokens).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_logprobs: z.int().min(0).max(REQUEST_BOUNDS.topLogprobs).nullish(),
  include: z.array(include).nullish(),
  tools: z.array(functionTool).max(BOUNDS.tools).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_tool_calls: z.int().min(1).nullish(),
  text: text.nullish(),
  reasoning: reasoning.nullish(),
  metadata: metadataSchema.nullish(),
  user: identifier,
  safety_identifier: identifier,
  prompt_cache_key: identifier,
  service_tier: z
    .enum(
      ["auto", "default", "flex", "priority", "fast"],
      "expected auto or default, flex (batch priority), priority or fast (interactive priority)",
    )
    .nullish(),
  truncation: z
    .literal("disabled", "nothing is cut from the input; shorten it, and send disabled or nothing")
    .nullish(),
});
export type ResponseRequest = z.infer<typeof responseRequestSchema>;
