import { DEADLINE_HEADER, DEFAULTS, LONGEST_KEY, PRIORITY_HEADER } from "../submission-form.ts";
import { DEFAULT_PAGE, LARGEST_PAGE } from "../query.ts";
import { COMMON, REPLIES, type Operation, type Parameter, type Reply } from "./operation.ts";

const responseId: Parameter = {
  name: "id",
  in: "path",
  description: "The response's id, `resp_…`.",
  required: true,
  schema: { type: "string" },
};

const unknown: Reply = {
  description:
    "There is no such response (any more), it is not yours, or it was made with `store: false`.",
  schema: "Error",
};

const createHeaders: readonly Parameter[] = [
  {
    name: "Idempotency-Key",
    in: "header",
    description: `Of a background response: up to ${LONGEST_KEY} characters; the same key with the same request answers the same response.`,
    required: false,
    schema: { type: "string", minLength: 1, maxLength: LONGEST_KEY },
  },
  {
    name: DEADLINE_HEADER,
    in: "header",
    description: `How long the response may wait to start, seconds. Default ${DEFAULTS.synchronousDeadlineSeconds}, in the background ${DEFAULTS.jobDeadlineSeconds}.`,
    required: false,
    schema: { type: "number", minimum: 1 },
  },
  {
    name: PRIORITY_HEADER,
    in: "header",
    description: `Who waits; before \`service_tier\`. Default \`${DEFAULTS.synchronousPriority}\`, in the background \`${DEFAULTS.jobPriority}\`.`,
    required: false,
    schema: { type: "string" },
  },
];

const CREATE =
  "OpenAI's call, answered by the engine's chat completions. With `background: true` it is a durable job that lives on without its caller, and the answer comes at once; otherwise hanging up cancels it. With `stream: true` the answer is OpenAI's stream of events, each with a `sequence_number`. A background stream that was cut goes on at `GET /v1/responses/{id}?stream=true&starting_after=<sequence_number>`, with no gap and no repeat. Input is text or items: messages (text, images by URL, audio), function calls and their outputs, reasoning. The model's reasoning comes as items of type `reasoning`. What is not served (earlier responses, conversations, tools that OpenAI runs, files) is refused by the field's name. A response is a job as well: its id with `job_` for `resp_`.";

/** OpenAI's Responses API. */
export const RESPONSE_OPERATIONS: readonly Operation[] = [
  {
    id: "createResponse",
    method: "POST",
    path: "/v1/responses",
    tag: "OpenAI",
    summary: "Create a response",
    description: CREATE,
    parameters: createHeaders,
    body: "ResponseRequest",
    replies: {
      200: {
        description: "The response; a background one as it then stands, mostly `queued`.",
        schema: "Response",
        headers: ["location", "x-headrace-job-id", "idempotent-replayed"],
      },
      400: {
        description: "A field is wrong, or the engine refused the request, in its words.",
        schema: "Error",
      },
      404: REPLIES.modelUnknown,
      413: REPLIES.tooLarge,
      415: REPLIES.mediaType,
      429: REPLIES.limited,
      422: { description: "The `Idempotency-Key` was used for another request.", schema: "Error" },
      502: { description: "The response failed before any of it was sent.", schema: "Error" },
      504: { description: "The response had not started by its deadline.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "retrieveResponse",
    method: "GET",
    path: "/v1/responses/{id}",
    tag: "OpenAI",
    summary: "Retrieve a response",
    description:
      "An open response as it stands; of one that has ended all that it says. With `stream=true` its events from the first on, or after `starting_after`, and live to the end. A background response that had to start over ends such a stream with an `error` event; one that was created with `stream: true` fails instead.",
    parameters: [
      responseId,
      {
        name: "stream",
        in: "query",
        description: "Whether to answer with events.",
        required: false,
        schema: { type: "boolean", default: false },
      },
      {
        name: "starting_after",
        in: "query",
        description:
          "`sequence_number` of the last event that the reader has; `Last-Event-ID` says the same, and wins.",
        required: false,
        schema: { type: "integer", minimum: 0 },
      },
    ],
    replies: {
      200: { description: "The response, or its events.", schema: "Response" },
      400: {
        description: "A parameter is wrong, or no event (any more) has that number.",
        schema: "Error",
      },
      404: unknown,
      ...COMMON,
    },
  },
  {
    id: "cancelResponse",
    method: "POST",
    path: "/v1/responses/{id}/cancel",
    tag: "OpenAI",
    summary: "Cancel a background response",
    description:
      "Stops the GPU work within a second. One that has ended stays as it ended. A stream of its events ends with `response.incomplete`, whose response says `cancelled`: OpenAI has no event of that name.",
    parameters: [responseId],
    replies: {
      200: { description: "The response as it ended.", schema: "Response" },
      400: { description: "It is not a background response.", schema: "Error" },
      404: unknown,
      ...COMMON,
    },
  },
  {
    id: "deleteResponse",
    method: "DELETE",
    path: "/v1/responses/{id}",
    tag: "OpenAI",
    summary: "Delete a response",
    description: "Removes an ended response and everything stored of it.",
    parameters: [responseId],
    replies: {
      200: { description: "Deleted.", schema: "ResponseDeleted" },
      404: unknown,
      409: { description: "It is open; cancel it first.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "listInputItems",
    method: "GET",
    path: "/v1/responses/{id}/input_items",
    tag: "OpenAI",
    summary: "List what a response was asked",
    description:
      "The input as items, read back from the messages that it became: their ids are new, and a developer's message is the system's.",
    parameters: [
      responseId,
      {
        name: "limit",
        in: "query",
        description: "Items in a page.",
        required: false,
        schema: { type: "integer", minimum: 1, maximum: LARGEST_PAGE, default: DEFAULT_PAGE },
      },
      {
        name: "order",
        in: "query",
        description: "Newest or oldest first.",
        required: false,
        schema: { type: "string", enum: ["asc", "desc"], default: "desc" },
      },
      {
        name: "after",
        in: "query",
        description: "The last item of the page before.",
        required: false,
        schema: { type: "string" },
      },
    ],
    replies: {
      200: { description: "A page.", schema: "ResponseItemList" },
      400: REPLIES.invalid,
      404: unknown,
      ...COMMON,
    },
  },
];
