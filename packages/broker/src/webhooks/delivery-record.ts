import {
  webhookDeliveryStatusSchema,
  webhookEventSchema,
  webhookFailureSchema,
  webhookTrySchema,
  type WebhookDeliveryStatus,
  type WebhookEvent,
  type WebhookFailure,
  type WebhookTry,
} from "@headrace/contract";
import { z } from "zod";

/** Tries that are told of; of one that was replayed often, the last. */
const KEPT_TRIES = 20;

/** An event on its way to one receiver. */
export interface DeliveryRecord {
  readonly id: string;
  readonly tenant: string;
  /** Null for the webhook of a single job. */
  readonly endpoint: string | null;
  /** Null for an endpoint's. */
  readonly url: string | null;
  readonly event: WebhookEvent;
  readonly status: WebhookDeliveryStatus;
  readonly failure: WebhookFailure | null;
  readonly createdAtMs: number;
  readonly lane: string;
  readonly tries: readonly WebhookTry[];
}

/** The record's fields, in the order they are read. */
export const DELIVERY_FIELDS = [
  "tenant",
  "endpoint",
  "url",
  "event",
  "state",
  "failure",
  "created_at",
  "lane",
  "history",
] as const;

const fieldsSchema = z.tuple([
  z.string(),
  z.string(),
  z.string(),
  z.string(),
  webhookDeliveryStatusSchema,
  z.union([z.literal(""), webhookFailureSchema]),
  z.coerce.number(),
  z.string(),
  z.string(),
]);

/** Read the fields of a record. @returns null when there is none */
export function parseDelivery(id: string, fields: readonly unknown[]): DeliveryRecord | null {
  if (fields[0] === null) return null;
  const [tenant, endpoint, url, event, status, failure, createdAtMs, lane, history] =
    fieldsSchema.parse(fields);
  return {
    id,
    tenant,
    endpoint: endpoint === "" ? null : endpoint,
    url: url === "" ? null : url,
    event: webhookEventSchema.parse(JSON.parse(event)),
    status,
    failure: failure === "" ? null : failure,
    createdAtMs,
    lane,
    tries: parseTries(history),
  };
}

/** Read what came of the tries so far. */
export function parseTries(history: string): WebhookTry[] {
  return history === "" ? [] : webhookTrySchema.array().parse(JSON.parse(history));
}

/** Write down one more try. */
export function writeTries(tries: readonly WebhookTry[]): string {
  return JSON.stringify(tries.slice(-KEPT_TRIES));
}
