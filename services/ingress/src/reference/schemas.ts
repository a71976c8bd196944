import {
  apiKeySchema,
  auditEntrySchema,
  auditListSchema,
  batchFormSchema,
  batchListSchema,
  batchSchema,
  chatRequestSchema,
  completionRequestSchema,
  demandSchema,
  diagnosisSchema,
  embeddingRequestSchema,
  errorBodySchema,
  fileDeletedSchema,
  fileListSchema,
  fileSchema,
  jobDeletedSchema,
  jobEventSchema,
  jobListSchema,
  jobSchema,
  keyCreateSchema,
  keyDeletedSchema,
  keyLimitsSchema,
  keyListSchema,
  keyRotateSchema,
  keyUpdateSchema,
  latencySchema,
  modelListSchema,
  modelSchema,
  newKeySchema,
  responseDeletedSchema,
  responseItemListSchema,
  responseRequestSchema,
  responseSchema,
  submitSchema,
  tenantListSchema,
  tenantSchema,
  tenantSettingsSchema,
  timelineSchema,
  usageReportSchema,
  usageSchema,
  newWebhookSecretSchema,
  secretRotationSchema,
  webhookDeliveryListSchema,
  webhookDeliverySchema,
  webhookEndpointChangeSchema,
  webhookEndpointDeletedSchema,
  webhookEndpointFormSchema,
  webhookEndpointListSchema,
  webhookEndpointSchema,
  webhookEndpointWithSecretSchema,
  webhookEventSchema,
  webhookEventTypeListSchema,
  webhookReplayFormSchema,
  webhookReplaySchema,
  webhookSecretSchema,
} from "@headrace/contract";
import { z } from "zod";

import {
  generateRequestSchema,
  generateResponseSchema,
  modelInfoSchema,
  plainHealthSchema,
  validationErrorSchema,
} from "../plain-server/shapes.ts";
import { NOTES } from "./notes.ts";
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
  WebhookEndpointForm: webhookEndpointFormSchema,
  WebhookEndpointChange: webhookEndpointChangeSchema,
  WebhookEndpoint: webhookEndpointSchema,
  WebhookEndpointWithSecret: webhookEndpointWithSecretSchema,
  WebhookEndpointList: webhookEndpointListSchema,
  WebhookEndpointDeleted: webhookEndpointDeletedSchema,
  SecretRotation: secretRotationSchema,
  WebhookSecret: webhookSecretSchema,
  NewWebhookSecret: newWebhookSecretSchema,
  WebhookEvent: webhookEventSchema,
  WebhookDelivery: webhookDeliverySchema,
  WebhookDeliveryList: webhookDeliveryListSchema,
  WebhookReplayForm: webhookReplayFormSchema,
  WebhookReplay: webhookReplaySchema,
  WebhookEventTypeList: webhookEventTypeListSchema,
  File: fileSchema,
  FileList: fileListSchema,
  FileDeleted: fileDeletedSchema,
  BatchForm: batchFormSchema,
  Batch: batchSchema,
  BatchList: batchListSchema,
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
  ResponseRequest: responseRequestSchema,
  Response: responseSchema,
  ResponseDeleted: responseDeletedSchema,
  ResponseItemList: responseItemListSchema,
  Model: modelSchema,
  ModelList: modelListSchema,
  KeyCreate: keyCreateSchema,
  KeyUpdate: keyUpdateSchema,
  KeyRotate: keyRotateSchema,
  KeyLimits: keyLimitsSchema,
  ApiKey: apiKeySchema,
  NewKey: newKeySchema,
  KeyList: keyListSchema,
  KeyDeleted: keyDeletedSchema,
  Tenant: tenantSchema,
  TenantSettings: tenantSettingsSchema,
  TenantList: tenantListSchema,
  AuditEntry: auditEntrySchema,
  AuditList: auditListSchema,
  GenerateRequest: generateRequestSchema,
  GenerateResponse: generateResponseSchema,
  PlainHealth: plainHealthSchema,
  ModelInfo: modelInfoSchema,
  ValidationError: validationErrorSchema,
  Status: z.object({ status: z.string() }),
  Demand: demandSchema,
  Diagnosis: diagnosisSchema,
  ErrorBody: errorBodySchema,
  Error: z.object({ error: errorBodySchema }),
} as const satisfies Record<string, z.ZodType>;
export type SchemaName = keyof typeof SCHEMAS;

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
