import { callHeaders } from "./engine-operations.ts";
import { COMMON, REPLIES, type Operation, type Reply } from "./operation.ts";

const TIMED = ["x-process-time"] as const;
const ended = "The job was accepted and ended; `x-should-retry: false`.";

const invalid: Reply = {
  description:
    "What was sent is not valid, in FastAPI's shape; also when several models are served and none was named.",
  schema: "ValidationError",
  headers: TIMED,
};

/** What a plain FastAPI server in front of one model answers, through the queue. */
export const PLAIN_OPERATIONS: readonly Operation[] = [
  {
    id: "generate",
    method: "POST",
    path: "/generate",
    tag: "Plain server",
    summary: "Generate text",
    description:
      'A raw completion of `prompt`, as a job that lives as long as its caller stays: hanging up cancels it. With `stream: true` the answer is a stream of `data: {"text": …}`, and last `data: {"done": true, …}` with all else of the whole answer; a failure after the first text is `data: {"error": …}`. Errors other than 422 are OpenAI\'s shape, as everywhere.',
    parameters: callHeaders,
    body: "GenerateRequest",
    replies: {
      200: {
        description: "The text, what it took, and how long.",
        schema: "GenerateResponse",
        headers: [...TIMED, "x-headrace-job-id"],
      },
      400: { description: "The engine refused the request, in its words.", schema: "Error" },
      404: REPLIES.modelUnknown,
      413: REPLIES.tooLarge,
      415: REPLIES.mediaType,
      429: REPLIES.limited,
      422: invalid,
      502: { description: `The job failed or was cancelled. ${ended}`, schema: "Error" },
      504: { description: `The job had not started by its deadline. ${ended}`, schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "checkPlainHealth",
    method: "GET",
    path: "/health",
    tag: "Plain server",
    summary: "Tell whether calls are taken in",
    description:
      "Healthy while jobs are taken in, as `/readyz`; `model_loaded` tells whether a worker is there to run them.",
    replies: {
      200: { description: "They are.", schema: "PlainHealth", headers: TIMED },
      503: { description: "They are not.", schema: "PlainHealth", headers: TIMED },
    },
    isOpen: true,
  },
  {
    id: "readModelInfo",
    method: "GET",
    path: "/model/info",
    tag: "Plain server",
    summary: "Tell about the model",
    description: "The operator's default model, or the only one.",
    parameters: [
      {
        name: "model",
        in: "query",
        description: "Which of several.",
        required: false,
        schema: { type: "string" },
      },
    ],
    replies: {
      200: { description: "What is known of it.", schema: "ModelInfo", headers: TIMED },
      404: REPLIES.modelUnknown,
      422: invalid,
      ...COMMON,
    },
  },
];
