import { BATCH_STATUSES, FILE_PURPOSES } from "@headrace/contract";

import { DEFAULT_PAGE, LARGEST_PAGE } from "../query.ts";
import { COMMON, REPLIES, type Operation, type Parameter, type Reply } from "./operation.ts";

const error = (description: string): Reply => ({ description, schema: "Error" });

const fileUnknown = error("There is no such file (any more), or it is not yours.");
const batchUnknown = error("There is no such batch (any more), or it is not yours.");
const unconfigured = error("The operator has set up no storage for files (`STORAGE_URL`).");
const shares = error("Your uploads or downloads hold as much of this server as one tenant's may.");

const fileId = idOf("The file's id.");
const batchId = idOf("The batch's id.");

const FILE_OPERATIONS: readonly Operation[] = [
  {
    id: "createFile",
    method: "POST",
    path: "/v1/files",
    tag: "Batches",
    summary: "Upload a file",
    description:
      "`multipart/form-data` with `file` and `purpose=batch`, the input of batches: JSON Lines, which are checked when a batch is made of them. It may take as long as it likes, as long as some of it comes each minute. `expires_after[anchor]=created_at` and `expires_after[seconds]`, from 3600 to 2592000, say how long it is kept; without them 30 days. A file exists once all of it is stored: of an upload that breaks off, or is refused, nothing is left. Its name is kept, without any path.",
    replies: {
      200: { description: "The file.", schema: "File" },
      400: error(
        "The form is malformed, breaks off or lacks `file`; or a field is wrong: `param` names it. Nothing is kept.",
      ),
      409: error("There are 10,000 files already."),
      413: error("The file is over the limit, which the message names."),
      415: error("The body is not `multipart/form-data`, or is compressed."),
      429: shares,
      501: unconfigured,
      ...COMMON,
    },
  },
  {
    id: "listFiles",
    method: "GET",
    path: "/v1/files",
    tag: "Batches",
    summary: "List files",
    description: "Your tenant's: what was uploaded, and what batches have written.",
    parameters: [
      query("purpose", "Only files for this.", { type: "string", enum: [...FILE_PURPOSES] }),
      query("limit", "Files in a page.", {
        type: "integer",
        minimum: 1,
        maximum: 10_000,
        default: 10_000,
      }),
      query("order", "By age.", { type: "string", enum: ["asc", "desc"], default: "desc" }),
      query("after", "The last file of the page before.", { type: "string" }),
    ],
    replies: {
      200: { description: "A page.", schema: "FileList" },
      400: REPLIES.invalid,
      404: error("The file in `after` is unknown."),
      ...COMMON,
    },
  },
  {
    id: "readFile",
    method: "GET",
    path: "/v1/files/{id}",
    tag: "Batches",
    summary: "Read about a file",
    description: "Its name, size and purpose, and until when it is kept.",
    parameters: [fileId],
    replies: { 200: { description: "The file.", schema: "File" }, 404: fileUnknown, ...COMMON },
  },
  {
    id: "readFileContent",
    method: "GET",
    path: "/v1/files/{id}/content",
    tag: "Batches",
    summary: "Read a file",
    description: "All of it, or one part of it (`Range`).",
    parameters: [
      fileId,
      {
        name: "range",
        in: "header",
        description: "`bytes=<first>-<last>`, `bytes=<first>-` or `bytes=-<count>`.",
        required: false,
        schema: { type: "string" },
      },
    ],
    replies: {
      200: { description: "The file.", type: "application/octet-stream" },
      206: {
        description: "The part.",
        type: "application/octet-stream",
        headers: ["content-range"],
      },
      404: fileUnknown,
      416: error("None of the file is in the range."),
      429: shares,
      501: unconfigured,
      ...COMMON,
    },
  },
  {
    id: "deleteFile",
    method: "DELETE",
    path: "/v1/files/{id}",
    tag: "Batches",
    summary: "Delete a file",
    description: "With its bytes. One that a batch still needs is kept: cancel that first.",
    parameters: [fileId],
    replies: {
      200: { description: "Deleted.", schema: "FileDeleted" },
      404: fileUnknown,
      409: error("A batch that has not ended needs it."),
      501: unconfigured,
      ...COMMON,
    },
  },
];

const BODY: Operation["replies"] = {
  400: REPLIES.invalid,
  413: REPLIES.tooLarge,
  415: REPLIES.mediaType,
  ...COMMON,
};

/** OpenAI's files and batches. */
export const BATCH_OPERATIONS: readonly Operation[] = [
  ...FILE_OPERATIONS,
  {
    id: "createBatch",
    method: "POST",
    path: "/v1/batches",
    tag: "Batches",
    summary: "Have every line of a file answered",
    description:
      'Lines are `{custom_id, method: "POST", url, body}`, of one endpoint and one model. They run with priority `batch`, and are done within `completion_window`: whole minutes, hours or days, from `1m` to `7d`. What is not done by then is in the error file. A file with a fault is not run at all: the batch is `failed`, and `errors` has the first 100 with their lines. Repeating a call under one `Idempotency-Key` within 24 h makes one batch.',
    parameters: [
      {
        name: "idempotency-key",
        in: "header",
        description: "Makes the call safe to repeat.",
        required: false,
        schema: { type: "string" },
      },
    ],
    body: "BatchForm",
    replies: {
      200: {
        description: "The batch, which is about to be validated.",
        schema: "Batch",
        headers: ["idempotent-replayed"],
      },
      404: error("There is no such file for batches, or it is not yours."),
      422: error("The `Idempotency-Key` belongs to another request."),
      429: error("500 batches have not ended yet."),
      501: error(
        "The operator has set up no storage for files, or a content filter, which batches would get past.",
      ),
      ...BODY,
    },
  },
  {
    id: "listBatches",
    method: "GET",
    path: "/v1/batches",
    tag: "Batches",
    summary: "List batches",
    description: "Your tenant's, newest first. Ended ones are kept for 30 days.",
    parameters: [
      query("limit", "Batches in a page.", {
        type: "integer",
        minimum: 1,
        maximum: LARGEST_PAGE,
        default: DEFAULT_PAGE,
      }),
      query("after", "The last batch of the page before.", { type: "string" }),
    ],
    replies: {
      200: { description: "A page.", schema: "BatchList" },
      400: REPLIES.invalid,
      404: error("The batch in `after` is unknown."),
      ...COMMON,
    },
  },
  {
    id: "readBatch",
    method: "GET",
    path: "/v1/batches/{id}",
    tag: "Batches",
    summary: "See how a batch gets on",
    description: `Statuses: ${BATCH_STATUSES.map((status) => `\`${status}\``).join(", ")}. \`progress\` is Headrace's own.`,
    parameters: [batchId],
    replies: { 200: { description: "The batch.", schema: "Batch" }, 404: batchUnknown, ...COMMON },
  },
  {
    id: "cancelBatch",
    method: "POST",
    path: "/v1/batches/{id}/cancel",
    tag: "Batches",
    summary: "Cancel a batch",
    description:
      "It is `cancelling` until what is done is in its files, then `cancelled`. Cancelling it again changes nothing. Takes no body.",
    parameters: [batchId],
    replies: {
      200: { description: "The batch as it is now.", schema: "Batch" },
      404: batchUnknown,
      409: error("It is finalizing, or has ended otherwise."),
      ...BODY,
    },
  },
  {
    id: "readBatchResults",
    method: "GET",
    path: "/v1/batches/{id}/results",
    tag: "Batches",
    summary: "Read what a batch has so far",
    description:
      "JSON Lines as those of its files, in the order in which they came; once it has ended, its output and then its errors. `x-batch-status` has the status. Headrace's own: OpenAI shows nothing before the end.",
    parameters: [batchId],
    replies: {
      200: {
        description: "The lines.",
        type: "application/jsonl",
        headers: ["x-batch-status"],
      },
      404: batchUnknown,
      429: shares,
      501: unconfigured,
      ...COMMON,
    },
  },
];

function idOf(description: string): Parameter {
  return { name: "id", in: "path", description, required: true, schema: { type: "string" } };
}

function query(name: string, description: string, schema: Parameter["schema"]): Parameter {
  return { name, in: "query", description, required: false, schema };
}
