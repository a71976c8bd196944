import { z } from "zod";
import { faultSchema } from "./faults.ts";
import { VOCABULARY_SIZE } from "./vocabulary.ts";

const tokenIds = z.array(
  z
    .int()
    .min(0)
    .max(VOCABULARY_SIZE - 1),
);
const flag = z.boolean().nullish();

const shared = {
  model: z.string().nullish(),
  request_id: z.string().max(200).nullish(),
  priority: z.int().default(0),
  /** Headrace's own: what shall go wrong with this request. vLLM would ignore it. */
  headrace_fault: z.union([faultSchema, z.array(faultSchema).max(8)]).optional(),
};

const sampling = {
  ...shared,
  n: z.int().min(1).max(128).nullish(),
  max_tokens: z.int().min(1).nullish(),
  min_tokens: z.int().min(0).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(128)]).nullish(),
  stop_token_ids: z.array(z.int()).max(128).nullish(),
  include_stop_str_in_output: flag,
  ignore_eos: flag,
  seed: z.int().nullish(),
  temperature: z.number().min(0).nullish(),
  stream: flag,
  stream_options: z.looseObject({ include_usage: flag }).nullish(),
  return_token_ids: flag,
};

const part = z.looseObject({ type: z.string(), text: z.string().optional() });

const messages = z
  .array(
    z.looseObject({
      role: z.string(),
      content: z.union([z.string(), z.array(part)]).nullish(),
      tool_calls: z.array(z.looseObject({})).nullish(),
    }),
  )
  .min(1);

const jsonSchema = z.union([z.looseObject({}), z.boolean()]);

const tool = z.looseObject({
  type: z.literal("function"),
  function: z.looseObject({
    name: z.string(),
    description: z.string().nullish(),
    parameters: jsonSchema.nullish(),
  }),
});

/** What shapes an answer that is not prose: tools, a form, reasoning. */
const shaping = {
  tools: z.array(tool).nullish(),
  tool_choice: z
    .union([
      z.enum(["none", "auto", "required"]),
      z.looseObject({ function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
  parallel_tool_calls: flag,
  response_format: z
    .discriminatedUnion("type", [
      z.looseObject({ type: z.literal("text") }),
      z.looseObject({ type: z.literal("json_object") }),
      z.looseObject({
        type: z.literal("json_schema"),
        json_schema: z.looseObject({ name: z.string(), schema: jsonSchema }),
      }),
    ])
    .nullish(),
  structured_outputs: z.looseObject({ json: jsonSchema.optional() }).nullish(),
  reasoning_effort: z.string().nullish(),
  chat_template_kwargs: z.looseObject({}).nullish(),
};

/** Body of `POST /v1/chat/completions`; fields not named here are accepted and ignored, as in vLLM. */
export const chatSchema = z.looseObject({
  ...sampling,
  ...shaping,
  messages,
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: flag,
  top_logprobs: z.int().min(0).max(20).nullish(),
});

/** A prompt of `/v1/completions` or input of `/v1/embeddings`: text or ids, one or several. */
const prompt = z.union([
  z.string(),
  tokenIds.min(1),
  z.array(z.string()).min(1).max(2_048),
  z.array(tokenIds.min(1)).min(1).max(2_048),
]);

/** Body of `POST /v1/completions`. */
export const completionSchema = z.looseObject({
  ...sampling,
  prompt,
  logprobs: z.int().min(0).max(20).nullish(),
  echo: flag,
});

/** Body of `POST /v1/embeddings`. */
export const embeddingSchema = z.looseObject({
  ...shared,
  input: prompt,
  dimensions: z.int().min(1).max(4_096).nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
});

/** Body of `POST /tokenize`: a text, or a conversation to be put through the chat template. */
export const tokenizeSchema = z
  .looseObject({
    model: z.string().nullish(),
    prompt: z.string().optional(),
    messages: messages.optional(),
    return_token_strs: flag,
  })
  .refine((body) => (body.prompt === undefined) !== (body.messages === undefined), {
    error: "give either prompt or messages",
  });

/** Body of `POST /detokenize`. */
export const detokenizeSchema = z.looseObject({ model: z.string().nullish(), tokens: tokenIds });

/** A tool as a chat body gives it. */
export type ToolBody = z.output<typeof tool>;
/** A parsed chat body. */
export type ChatBody = z.output<typeof chatSchema>;
/** A parsed completion body. */
export type CompletionBody = z.output<typeof completionSchema>;
/** A parsed embedding body. */
export type EmbeddingBody = z.output<typeof embeddingSchema>;
/** Text or ids, one or several. */
export type PromptBody = z.output<typeof prompt>;
