import {
  chatRequestSchema,
  completionRequestSchema,
  diagnosisSchema,
  embeddingRequestSchema,
  errorBodySchema,
  jobDeletedSchema,
  jobEventSchema,
  jobListSchema,
  jobSchema,
  latencySchema,
  modelListSchema,
  modelSchema,
  submitSchema,
  timelineSchema,
  usageReportSchema,
  usageSchema,
} from "@headrace/contract";
import { z } from "zod";

import type { JsonSchema } from "./operation.ts";

const generated = {
  id: z.string(),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.looseObject({ index: z.int(), finish_reason: z.string().nullish() })),
  usage: usageSchema.nullable(),
};

/** Every shape the API takes or gives, by the name the reference calls it. */
const SCHEMAS = {
  Submit: submitSchema,
  Job: jobSchema,
  JobList: jobListSchema,
  JobDeleted: jobDeletedSchema,
  JobEvent: jobEventSchema,
  Latency: latencySchema,
  Timeline: timelineSchema,
  Usage: usageSchema,
  UsageReport: usageReportSchema,
  ChatRequest: chatRequestSchema,
  ChatCompletion: z.looseObject({ ...generated, object: z.literal("chat.completion") }),
  CompletionRequest: completionRequestSchema,
  Completion: z.looseObject({ ...generated, object: z.literal("text_completion") }),
  EmbeddingRequest: embeddingRequestSchema,
  Embeddings: z.looseObject({
    object: z.literal("list"),
    data: z.array(z.looseObject({})),
    model: z.string(),
    usage: usageSchema.nullable(),
  }),
  Model: modelSchema,
  ModelList: modelListSchema,
  Status: z.object({ status: z.string() }),
  Diagnosis: diagnosisSchema,
  ErrorBody: errorBodySchema,
  Error: z.object({ error: errorBodySchema }),
} as const satisfies Record<string, z.ZodType>;
export type SchemaName = keyof typeof SCHEMAS;

/** What the schemas cannot say of their fields. */
const NOTES: Readonly<Partial<Record<SchemaName, Readonly<Record<string, string>>>>> = {
  Submit: {
    endpoint: "Which of the engine's endpoints the request is for.",
    request: "That endpoint's body. Fields Headrace does not know reach the engine as sent.",
    priority: "Who waits: `interactive` goes first, `batch` last. Default `standard`.",
    deadline_seconds:
      "How long the job may wait to start; then it expires and costs no GPU time. Default 3600.",
    on_retry:
      "What a second attempt does to output already shown: go on where that is exact (else void it), void it, or fail. Default `continue`.",
    retention_seconds:
      "How long the ended job is kept. Default 86400; 0 = deleted once its end was delivered, to a reader of its events or in answer to a GET.",
    metadata: "Yours: up to 16 pairs, shown with the job.",
  },
  Job: {
    created_at: "Unix seconds, like all instants.",
    deadline_at: "When a job that has not started expires.",
    expires_at: "When an ended job is forgotten; null while it is open.",
    attempts: "Attempts so far that count.",
    waiting_reason:
      "Why a queued job is not running: jobs before it, no live worker, or on its way to a worker.",
    queue_position: "Jobs before this one, 0 = next; null unless queued.",
    eta_seconds:
      "Seconds until it starts at the rate of the last minute; null when nothing started lately.",
    result: "The engine's response body, once completed. Lists leave it out.",
    error: "Why it failed or expired.",
    retry_of: "The ended job that this one runs again; null for most.",
    status_url:
      "A path, as are `events_url` and `cancel_url`: whole URLs would depend on the proxies before us.",
  },
  Timeline: {
    error: "Why it failed or expired.",
    attempts: "Oldest first; the last 16.",
    forgotten_attempts: "Attempts before these, of which nothing is kept.",
    latency: "Where the time went; null while the job is open.",
  },
  UsageReport: {
    currency: "What costs are in; null where the operator has not said.",
    data: "By day, key and model, null for what is summed over. Jobs count on the UTC day they ended, however they ended; `gpu_seconds` are each job's share of the time in which its engine had work; costs are at the price of a GPU hour when the job ended.",
  },
  ErrorBody: {
    code: "What happened, for programs. Codes are never renamed.",
    param: "The field at fault, as a path: `request.messages[0].role`.",
  },
};

/** The schemas as JSON Schema, referring to each other by name. */
export function componentSchemas(): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    uri: (id) => `#/components/schemas/${id}`,
    // As one writes it: what has a default may be left out, and answers may gain fields.
    io: "input",
  });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _dialect, $id: _address, ...schema }]) => [
      name,
      annotate(schema, notesOf(name)),
    ]),
  );
}

function notesOf(name: string): Readonly<Record<string, string>> {
  return new Map<string, Readonly<Record<string, string>>>(Object.entries(NOTES)).get(name) ?? {};
}

function annotate(schema: JsonSchema, notes: Readonly<Record<string, string>>): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const [field, inner] of Object.entries(schema.properties ?? {})) {
    const description = notes[field];
    properties[field] =
      typeof inner === "boolean" || description === undefined
        ? asObject(inner)
        : { ...inner, description };
  }
  return schema.properties === undefined ? schema : { ...schema, properties };
}

/** JSON Schema's `true` allows anything, which an empty schema says as well. */
function asObject(schema: JsonSchema | boolean): JsonSchema {
  return typeof schema === "boolean" ? {} : schema;
}
