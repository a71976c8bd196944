import { JOB_STATUSES } from "@headrace/contract";

import { DEFAULT_PAGE, LARGEST_PAGE, LONGEST_WAIT_SECONDS } from "../query.ts";
import { LONGEST_KEY } from "../submission-form.ts";
import { ALLOWANCE_HEADERS, COMMON, REPLIES, type Operation, type Parameter } from "./operation.ts";

const jobId: Parameter = {
  name: "id",
  in: "path",
  description: "The job's id.",
  required: true,
  schema: { type: "string" },
};

const waitSchema = { type: "integer", minimum: 0, maximum: LONGEST_WAIT_SECONDS } as const;

const submitHeaders: readonly Parameter[] = [
  {
    name: "Idempotency-Key",
    in: "header",
    description: `Up to ${LONGEST_KEY} characters. The same key with the same request answers the same job, marked \`Idempotent-Replayed: true\`; with another request 422. Remembered for 24 h and the job's deadline.`,
    required: false,
    schema: { type: "string", minLength: 1, maxLength: LONGEST_KEY },
  },
  {
    name: "Prefer",
    in: "header",
    description: `\`wait=n\`, n ≤ ${LONGEST_WAIT_SECONDS} seconds; more is taken as ${LONGEST_WAIT_SECONDS}. \`Preference-Applied\` says what was.`,
    required: false,
    schema: { type: "string", examples: ["wait=30"] },
  },
];

/** What every operation can answer that makes a job. */
const submitReplies: Operation["replies"] = {
  200: { description: "The job has ended while waiting.", schema: "Job" },
  202: {
    description: "Accepted.",
    schema: "Job",
    headers: ["location", "idempotent-replayed", "preference-applied", ...ALLOWANCE_HEADERS],
  },
  400: REPLIES.invalid,
  413: REPLIES.tooLarge,
  415: REPLIES.mediaType,
  429: REPLIES.limited,
  422: { description: "The `Idempotency-Key` was used for another request.", schema: "Error" },
  ...COMMON,
};

/** The jobs API. */
export const JOB_OPERATIONS: readonly Operation[] = [
  {
    id: "submitJob",
    method: "POST",
    path: "/v1/jobs",
    tag: "Jobs",
    summary: "Submit a job",
    description:
      "From the 202 on the job is not lost. With `Prefer: wait=n` the answer is held back until the job has ended, for at most n seconds: 200 with the whole job, or 202 as it then stands.",
    parameters: submitHeaders,
    body: "Submit",
    replies: {
      ...submitReplies,
      404: REPLIES.modelUnknown,
      409: {
        description:
          "There is no secret yet to sign its `webhook` with (`webhook_secret_missing`).",
        schema: "Error",
      },
    },
  },
  {
    id: "listJobs",
    method: "GET",
    path: "/v1/jobs",
    tag: "Jobs",
    summary: "List jobs",
    description: "Newest first. Results are left out.",
    parameters: [
      query("status", "Only jobs in this state.", { type: "string", enum: [...JOB_STATUSES] }),
      query("model", "Only jobs of this model.", { type: "string" }),
      query("limit", "Jobs in a page.", {
        type: "integer",
        minimum: 1,
        maximum: LARGEST_PAGE,
        default: DEFAULT_PAGE,
      }),
      query("after", "The last job of the page before.", { type: "string" }),
    ],
    replies: {
      200: { description: "A page.", schema: "JobList" },
      400: REPLIES.invalid,
      404: { description: "The job in `after` is unknown.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "readJob",
    method: "GET",
    path: "/v1/jobs/{id}",
    tag: "Jobs",
    summary: "Read a job",
    description: "State, position and ETA while it waits; result and usage once it has ended.",
    parameters: [
      jobId,
      query(
        "wait",
        "Hold the answer back until the job has ended, for so many seconds.",
        waitSchema,
      ),
    ],
    replies: {
      200: { description: "The job as it stands.", schema: "Job" },
      400: REPLIES.invalid,
      404: REPLIES.jobUnknown,
      ...COMMON,
    },
  },
  {
    id: "deleteJob",
    method: "DELETE",
    path: "/v1/jobs/{id}",
    tag: "Jobs",
    summary: "Delete an ended job",
    description: "Removes the job and everything stored of it.",
    parameters: [jobId],
    replies: {
      200: { description: "Deleted.", schema: "JobDeleted" },
      404: REPLIES.jobUnknown,
      409: { description: "The job has not ended: cancel it first.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "followJob",
    method: "GET",
    path: "/v1/jobs/{id}/events",
    tag: "Jobs",
    summary: "Follow a job",
    description:
      "Server-sent events: what the log has after the cursor, then what comes, with no gap and no repeat. Each event's `id` is a cursor. A job in the queue is told first in a `job.queued`, which has no id. `attempt.started` with `reset: true` voids all output before it; with `reset: false` and `from: n` it goes on after the n output events before it. Exactly one terminal event comes, last; then the server ends the stream. A comment comes every 15 s. A reader that takes nothing for 30 s is disconnected, and may come back with its cursor. A process that stops ends the stream early, with `retry`: come back with the cursor.",
    parameters: [
      jobId,
      query("starting_after", "The id of the last event seen.", {
        type: "string",
        examples: ["1-12"],
      }),
      {
        name: "Last-Event-ID",
        in: "header",
        description: "The same, as browsers send it; wins over `starting_after`.",
        required: false,
        schema: { type: "string" },
      },
    ],
    replies: {
      200: { description: "Events; `data` is a `JobEvent`.", type: "text/event-stream" },
      204: { description: "The cursor is the job's end: there is nothing left to come." },
      400: REPLIES.invalid,
      404: REPLIES.jobUnknown,
      ...COMMON,
    },
  },
  {
    id: "cancelJob",
    method: "POST",
    path: "/v1/jobs/{id}/cancel",
    tag: "Jobs",
    summary: "Cancel a job",
    description:
      "Ends an open job, and stops the GPU's work on it within a second. Cancelling an ended job changes nothing.",
    parameters: [jobId],
    replies: {
      200: { description: "The job as it now stands.", schema: "Job" },
      404: REPLIES.jobUnknown,
      ...COMMON,
    },
  },
  {
    id: "retryJob",
    method: "POST",
    path: "/v1/jobs/{id}/retry",
    tag: "Jobs",
    summary: "Run a job again",
    description:
      "Makes a new job of one that failed, expired or was cancelled: the same request, deadline, retention and metadata, from the start. It names the old one in `retry_of`; the old one stays as it ended. Takes no body.",
    parameters: [jobId, ...submitHeaders],
    replies: {
      ...submitReplies,
      404: REPLIES.jobUnknown,
      409: { description: "The job has not ended, or has its result.", schema: "Error" },
    },
  },
  {
    id: "readTimeline",
    method: "GET",
    path: "/v1/jobs/{id}/timeline",
    tag: "Jobs",
    summary: "See what happened to a job",
    description:
      "Each attempt: by which worker, from when to when, whether it went on from earlier output (`from`) or voided it (`reset`), and why it ended: with the job (`completed`, `failed`, `cancelled`), or with the job back in the queue: `handed_back`, `engine_error`, `worker_lost`, `log_lost`, or `cannot_continue`, when the engine could not go on exactly from what was shown. Kept as long as the job.",
    parameters: [jobId],
    replies: {
      200: { description: "The timeline so far.", schema: "Timeline" },
      404: REPLIES.jobUnknown,
      ...COMMON,
    },
  },
  {
    id: "readLatency",
    method: "GET",
    path: "/v1/jobs/{id}/latency",
    tag: "Jobs",
    summary: "See where a job's time went",
    description: "Stages in order, in seconds; they sum to the total.",
    parameters: [jobId],
    replies: {
      200: { description: "The waterfall.", schema: "Latency" },
      404: REPLIES.jobUnknown,
      409: { description: "The job has not ended.", schema: "Error" },
      ...COMMON,
    },
  },
];

function query(name: string, description: string, schema: Parameter["schema"]): Parameter {
  return { name, in: "query", description, required: false, schema };
}
