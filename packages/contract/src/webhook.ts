import { z } from "zod";

/** What a webhook may tell of, in OpenAI's names where OpenAI has one. */
export const WEBHOOK_EVENT_TYPES = [
  "job.completed",
  "job.failed",
  "job.cancelled",
  "job.expired",
  "response.completed",
  "response.failed",
  "response.cancelled",
  "response.incomplete",
  "batch.completed",
  "batch.failed",
  "batch.cancelled",
  "batch.expired",
] as const;
export const webhookEventTypeSchema = z.enum(WEBHOOK_EVENT_TYPES);
export type WebhookEventType = z.infer<typeof webhookEventTypeSchema>;

/** All events of one kind. */
const WEBHOOK_EVENT_FAMILIES = ["job.*", "response.*", "batch.*"] as const;

/** What an endpoint wants to be told of: exact types, or a whole family. */
export const webhookFilterSchema = z.enum([...WEBHOOK_EVENT_FAMILIES, ...WEBHOOK_EVENT_TYPES]);
export type WebhookFilter = z.infer<typeof webhookFilterSchema>;

/** Tell whether any of the filters lets an event through. */
export function matchesFilter(filters: readonly WebhookFilter[], type: WebhookEventType): boolean {
  const family = `${type.slice(0, type.indexOf("."))}.*`;
  return filters.some((filter) => filter === type || filter === family);
}

/**
 * The body of a webhook: thin, as OpenAI's. What happened to whom; what came of it is asked for with
 * `data.id`.
 */
export const webhookEventSchema = z.object({
  id: z.string(),
  object: z.literal("event"),
  type: webhookEventTypeSchema,
  /** When it happened, Unix seconds. */
  created_at: z.int(),
  data: z.object({ id: z.string() }),
});
export type WebhookEvent = z.infer<typeof webhookEventSchema>;

const LONGEST_URL = 2_048;
const LONGEST_NAME = 128;
const MOST_FILTERS = 32;

/**
 * Where events may be sent. Whether a receiver may be reached at all is for the process to judge that
 * connects to it, each time it does: names may come to mean other addresses.
 */
export const webhookUrlSchema = z
  .string()
  .max(LONGEST_URL)
  .refine((text) => isPlainUrl(text), {
    error: "expected an https URL without user, password or fragment",
  });

function isPlainUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.hostname === "") return false;
  if (url.protocol !== "https:" && url.protocol !== "http:") return false;
  return url.username === "" && url.password === "" && url.hash === "";
}

const nameSchema = z.string().min(1).max(LONGEST_NAME);
const filtersSchema = z.array(webhookFilterSchema).min(1).max(MOST_FILTERS);

export const WEBHOOK_ENDPOINT_STATUSES = ["enabled", "disabled"] as const;
const endpointStatusSchema = z.enum(WEBHOOK_ENDPOINT_STATUSES);

/** Body of `POST /v1/webhook_endpoints`. */
export const webhookEndpointFormSchema = z.strictObject({
  url: webhookUrlSchema,
  event_types: filtersSchema,
  name: nameSchema.optional(),
});
export type WebhookEndpointForm = z.infer<typeof webhookEndpointFormSchema>;

/** Body of `POST /v1/webhook_endpoints/{id}`: what is left out stays as it is. */
export const webhookEndpointChangeSchema = z.strictObject({
  url: webhookUrlSchema.optional(),
  event_types: filtersSchema.optional(),
  name: nameSchema.optional(),
  status: endpointStatusSchema.optional(),
});
export type WebhookEndpointChange = z.infer<typeof webhookEndpointChangeSchema>;

/** Body of a call that makes a new secret. */
export const secretRotationSchema = z.strictObject({
  keep_old_secret_active_for_24_hours: z.boolean().optional(),
});
export type SecretRotation = z.infer<typeof secretRotationSchema>;

/** Why an endpoint is sent nothing. */
export const WEBHOOK_DISABLED_REASONS = ["by_owner", "gone"] as const;

/** An endpoint as the API shows it: OpenAI's shape, and whether it is sent anything. */
export const webhookEndpointSchema = z.object({
  id: z.string(),
  object: z.literal("webhook_endpoint"),
  name: z.string(),
  url: z.string(),
  event_types: z.array(webhookFilterSchema),
  status: endpointStatusSchema,
  /** `gone`: the receiver answered 410. */
  disabled_reason: z.enum(WEBHOOK_DISABLED_REASONS).nullable(),
  /** The secret's last characters, to tell secrets apart by. */
  signing_secret_hint: z.string(),
  /** Until when events are also signed with the secret before; null when they are not. */
  old_secret_expires_at: z.int().nullable(),
  created_at: z.int(),
  updated_at: z.int(),
});
export type WebhookEndpoint = z.infer<typeof webhookEndpointSchema>;

/** The same when its secret was just made: the only time it is shown. */
export const webhookEndpointWithSecretSchema = webhookEndpointSchema.extend({
  signing_secret: z.string(),
});
export type WebhookEndpointWithSecret = z.infer<typeof webhookEndpointWithSecretSchema>;

/** Answer of `GET /v1/webhook_event_types`. */
export const webhookEventTypeListSchema = z.object({
  object: z.literal("list"),
  data: z.array(webhookEventTypeSchema),
});
export type WebhookEventTypeList = z.infer<typeof webhookEventTypeListSchema>;

/** A page of endpoints, newest first. */
export const webhookEndpointListSchema = z.object({
  object: z.literal("list"),
  data: z.array(webhookEndpointSchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type WebhookEndpointList = z.infer<typeof webhookEndpointListSchema>;

/** Answer of `DELETE /v1/webhook_endpoints/{id}`. */
export const webhookEndpointDeletedSchema = z.object({
  id: z.string(),
  object: z.literal("webhook_endpoint.deleted"),
  deleted: z.literal(true),
});
export type WebhookEndpointDeleted = z.infer<typeof webhookEndpointDeletedSchema>;

/** The secret that the webhooks of single jobs are signed with, as the API shows it. */
export const webhookSecretSchema = z.object({
  object: z.literal("webhook_secret"),
  signing_secret_hint: z.string(),
  old_secret_expires_at: z.int().nullable(),
  created_at: z.int(),
});
export type WebhookSecret = z.infer<typeof webhookSecretSchema>;

/** The same when it was just made: the only time it is shown. */
export const newWebhookSecretSchema = webhookSecretSchema.extend({ signing_secret: z.string() });
export type NewWebhookSecret = z.infer<typeof newWebhookSecretSchema>;

export const WEBHOOK_DELIVERY_STATUSES = ["pending", "delivered", "failed"] as const;
export const webhookDeliveryStatusSchema = z.enum(WEBHOOK_DELIVERY_STATUSES);
export type WebhookDeliveryStatus = z.infer<typeof webhookDeliveryStatusSchema>;

/** Why an event will not be sent again by itself. */
export const WEBHOOK_FAILURES = [
  /** Every try of the ladder failed, or the receiver was not reachable for four days. */
  "exhausted",
  /** The receiver answered 410: it wants none. */
  "gone",
  "endpoint_disabled",
  "endpoint_deleted",
  /** More waited for the receiver than is kept. */
  "backlog_full",
] as const;
export const webhookFailureSchema = z.enum(WEBHOOK_FAILURES);
export type WebhookFailure = z.infer<typeof webhookFailureSchema>;

/** What went wrong with one try where there was no answer. */
export const WEBHOOK_TRY_ERRORS = [
  /** Where the URL leads may not be connected to. */
  "address_not_allowed",
  "name_not_found",
  "connection_failed",
  "tls_failed",
  "timeout",
  "answer_invalid",
  /** There is no secret to sign with (any more). */
  "secret_missing",
] as const;
export const webhookTryErrorSchema = z.enum(WEBHOOK_TRY_ERRORS);
export type WebhookTryError = z.infer<typeof webhookTryErrorSchema>;

/** One try to deliver an event. */
export const webhookTrySchema = z.object({
  /** Unix seconds. */
  at: z.number(),
  /** What the receiver answered; null when it did not. */
  status_code: z.int().nullable(),
  error: webhookTryErrorSchema.nullable(),
  seconds: z.number().min(0),
});
export type WebhookTry = z.infer<typeof webhookTrySchema>;

/** An event on its way to one receiver, as the API shows it. */
export const webhookDeliverySchema = z.object({
  id: z.string(),
  object: z.literal("webhook_delivery"),
  /** Null for the webhook of a single job. */
  endpoint_id: z.string().nullable(),
  /** Where a single job's webhook goes; an endpoint's deliveries go where it says. */
  url: z.string().nullable(),
  event: webhookEventSchema,
  status: webhookDeliveryStatusSchema,
  failure: webhookFailureSchema.nullable(),
  created_at: z.number(),
  /** When it is tried next, at the earliest; null once it has ended. */
  next_try_at: z.number().nullable(),
  /** Oldest first; the last 20. */
  tries: z.array(webhookTrySchema),
});
export type WebhookDelivery = z.infer<typeof webhookDeliverySchema>;

/** A page of deliveries, newest first. */
export const webhookDeliveryListSchema = z.object({
  object: z.literal("list"),
  data: z.array(webhookDeliverySchema),
  first_id: z.string().nullable(),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
});
export type WebhookDeliveryList = z.infer<typeof webhookDeliveryListSchema>;

/** Body of `POST /v1/webhook_endpoints/{id}/replay`: Unix seconds; left out = all that is kept. */
export const webhookReplayFormSchema = z.strictObject({ since: z.number().min(0).optional() });
export type WebhookReplayForm = z.infer<typeof webhookReplayFormSchema>;

/** Its answer: how many failed deliveries start over. */
export const webhookReplaySchema = z.object({
  object: z.literal("webhook_replay"),
  replayed: z.int().min(0),
});
export type WebhookReplay = z.infer<typeof webhookReplaySchema>;
