import { PRIORITIES } from "@headrace/contract";

import { DEADLINE_HEADER, DEFAULTS, PRIORITY_HEADER } from "../submission-form.ts";
import { ALLOWANCE_HEADERS, COMMON, REPLIES, type Operation, type Parameter } from "./operation.ts";
import type { SchemaName } from "./schemas.ts";

/** Headers of every synchronous call. */
export const callHeaders: readonly Parameter[] = [
  {
    name: DEADLINE_HEADER,
    in: "header",
    description: "How long the call may wait to start, seconds; then 504.",
    required: false,
    schema: { type: "number", minimum: 1, default: DEFAULTS.synchronousDeadlineSeconds },
  },
  {
    name: PRIORITY_HEADER,
    in: "header",
    description:
      "Who waits: as `priority` of `POST /v1/jobs`. A `priority` in the body is not passed on.",
    required: false,
    schema: { type: "string", enum: [...PRIORITIES], default: DEFAULTS.synchronousPriority },
  },
];

const STREAMING =
  " With `stream: true` the answer is OpenAI's stream of chunks, closed by `[DONE]`; token counts come when `stream_options.include_usage` asks for them. The status is sent with the first output, so that a failure before any is an HTTP error; after 15 s without output it is sent with a comment. Later failures end the stream with an `error` chunk.";

/** What an operator must know of what passes through. */
const MEDIA =
  " Addresses of images, sounds and videos are the engine's to fetch, from where it stands: start vLLM with `--allowed-media-domains`, or filter them.";

/** OpenAI's calls, through the queue. */
export const ENGINE_OPERATIONS: readonly Operation[] = [
  call("/v1/chat/completions", "Answer a chat", {
    id: "createChatCompletion",
    body: "ChatRequest",
    reply: "ChatCompletion",
  }),
  call("/v1/completions", "Complete a text", {
    id: "createCompletion",
    body: "CompletionRequest",
    reply: "Completion",
  }),
  call("/v1/embeddings", "Embed texts", {
    id: "createEmbeddings",
    body: "EmbeddingRequest",
    reply: "Embeddings",
  }),
  {
    id: "listModels",
    method: "GET",
    path: "/v1/models",
    tag: "OpenAI",
    summary: "List models",
    description: "The models that jobs may name: those that ever had a worker.",
    replies: { 200: { description: "All of them.", schema: "ModelList" }, ...COMMON },
  },
  {
    id: "readModel",
    method: "GET",
    path: "/v1/models/{model}",
    tag: "OpenAI",
    summary: "Read a model",
    description: "Slashes in the name need not be escaped.",
    parameters: [
      {
        name: "model",
        in: "path",
        description: "The model's name or alias.",
        required: true,
        schema: { type: "string" },
      },
    ],
    replies: {
      200: { description: "The model.", schema: "Model" },
      404: REPLIES.modelUnknown,
      ...COMMON,
    },
  },
];

function call(
  path: string,
  summary: string,
  {
    id,
    body,
    reply,
  }: { readonly id: string; readonly body: SchemaName; readonly reply: SchemaName },
): Operation {
  const ended = "The job was accepted and ended; `x-should-retry: false`.";
  return {
    id,
    method: "POST",
    path,
    tag: "OpenAI",
    summary,
    description: `OpenAI's call, as a job that lives as long as its caller stays: hanging up cancels it.${reply === "Embeddings" ? "" : STREAMING + MEDIA}`,
    parameters: callHeaders,
    body,
    replies: {
      200: {
        description: "The engine's answer.",
        schema: reply,
        headers: ["x-headrace-job-id", ...ALLOWANCE_HEADERS],
      },
      400: {
        description: "A field is wrong, or the engine refused the request, in its words.",
        schema: "Error",
      },
      404: REPLIES.modelUnknown,
      413: REPLIES.tooLarge,
      415: REPLIES.mediaType,
      429: REPLIES.limited,
      502: { description: `The job failed or was cancelled. ${ended}`, schema: "Error" },
      504: { description: `The job had not started by its deadline. ${ended}`, schema: "Error" },
      ...COMMON,
    },
  };
}
