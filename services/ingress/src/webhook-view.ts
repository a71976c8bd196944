import {
  describeSecrets,
  type DefaultSecretRecord,
  type EndpointRecord,
  type ListedDelivery,
  type Secrets,
} from "@headrace/broker";
import type {
  NewWebhookSecret,
  WebhookDelivery,
  WebhookEndpoint,
  WebhookEndpointWithSecret,
  WebhookSecret,
} from "@headrace/contract";

import { toSeconds } from "./job-view.ts";

/** An endpoint as the API shows it at any time. */
export function toEndpoint(record: EndpointRecord): WebhookEndpoint {
  return {
    id: record.id,
    object: "webhook_endpoint",
    name: record.name,
    url: record.url,
    event_types: record.filters,
    status: record.status,
    disabled_reason: record.disabledReason,
    ...describeSecrets(record.secrets, Date.now()),
    created_at: toWholeSeconds(record.createdAtMs),
    updated_at: toWholeSeconds(record.updatedAtMs),
  };
}

/** An endpoint whose secret was just made: the only time it is shown. */
export function toNewEndpoint(record: EndpointRecord): WebhookEndpointWithSecret {
  return { ...toEndpoint(record), signing_secret: newestOf(record.secrets) };
}

/** The secret for the webhooks of single jobs, as the API shows it at any time. */
export function toSecret({ secrets, createdAtMs }: DefaultSecretRecord): WebhookSecret {
  return {
    object: "webhook_secret",
    ...describeSecrets(secrets, Date.now()),
    created_at: toWholeSeconds(createdAtMs),
  };
}

/** The same when it was just made. */
export function toNewSecret(record: DefaultSecretRecord): NewWebhookSecret {
  return { ...toSecret(record), signing_secret: newestOf(record.secrets) };
}

/** A delivery as the API shows it. */
export function toDelivery({ record, nextTryAtMs }: ListedDelivery): WebhookDelivery {
  return {
    id: record.id,
    object: "webhook_delivery",
    endpoint_id: record.endpoint,
    url: record.url,
    event: record.event,
    status: record.status,
    failure: record.failure,
    created_at: toSeconds(record.createdAtMs),
    next_try_at: nextTryAtMs === null ? null : toSeconds(nextTryAtMs),
    tries: [...record.tries],
  };
}

function newestOf([newest]: Secrets): string {
  return newest?.secret ?? "";
}

function toWholeSeconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
