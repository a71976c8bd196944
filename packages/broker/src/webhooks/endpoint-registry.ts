import { randomBytes } from "node:crypto";

import {
  PlatformError,
  WEBHOOK_DISABLED_REASONS,
  WEBHOOK_ENDPOINT_STATUSES,
  webhookFilterSchema,
  type WebhookEndpointChange,
  type WebhookEndpointForm,
} from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "../keys.ts";
import { script } from "../script.ts";
import { firstSecrets, rotate, secretsSchema } from "./secrets.ts";

const exchangeField = script("exchange-field", z.literal([1, 0, -1]));

/** Each event is compared with all of its tenant's endpoints. */
const MOST_ENDPOINTS = 20;
/** What the tenant's one secret that is no endpoint's is for. */
const JOBS = "jobs";
/** Two people may change one endpoint at once; so many do not. */
const TRIES = 10;
const ID_BYTES = 16;

const endpointSchema = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  filters: z.array(webhookFilterSchema),
  status: z.enum(WEBHOOK_ENDPOINT_STATUSES),
  disabledReason: z.enum(WEBHOOK_DISABLED_REASONS).nullable(),
  secrets: secretsSchema,
  createdAtMs: z.number(),
  updatedAtMs: z.number(),
});
/** Where a tenant has events sent. */
export type EndpointRecord = z.infer<typeof endpointSchema>;

const defaultSecretSchema = z.object({ secrets: secretsSchema, createdAtMs: z.number() });
/** What the webhooks of a tenant's single jobs are signed with. */
export type DefaultSecretRecord = z.infer<typeof defaultSecretSchema>;

/** A tenant's endpoints and secrets, in its slot. Changes are atomic: none undoes another's. */
export class EndpointRegistry {
  readonly #redis: Redis;
  readonly #now: () => number;

  constructor(redis: Redis, now: () => number) {
    this.#redis = redis;
    this.#now = now;
  }

  /** All of a tenant's endpoints, newest first. */
  async list(tenant: string): Promise<EndpointRecord[]> {
    const fields = await this.#redis.hgetall(keys.webhooks(tenant));
    return Object.values(fields)
      .map((text) => parseRecord(endpointSchema, text))
      .toSorted((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1));
  }

  /** @returns null for an unknown endpoint, and alike for another tenant's */
  async find(tenant: string, id: string): Promise<EndpointRecord | null> {
    const text = await this.#redis.hget(keys.webhooks(tenant), id);
    return text === null ? null : parseRecord(endpointSchema, text);
  }

  /** @throws PlatformError `webhook_endpoint_not_found`, the same for another tenant's */
  async get(tenant: string, id: string): Promise<EndpointRecord> {
    const found = await this.find(tenant, id);
    if (found === null) throw unknownEndpoint(id);
    return found;
  }

  /** @throws PlatformError `webhook_endpoint_limit` when the tenant has 20 */
  async create(tenant: string, form: WebhookEndpointForm): Promise<EndpointRecord> {
    const nowMs = this.#now();
    const record: EndpointRecord = {
      id: `whe_${randomBytes(ID_BYTES).toString("hex")}`,
      name: form.name ?? new URL(form.url).host,
      url: form.url,
      filters: [...new Set(form.event_types)],
      status: "enabled",
      disabledReason: null,
      secrets: firstSecrets(),
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
    };
    const args = [record.id, "", JSON.stringify(record), MOST_ENDPOINTS];
    if ((await exchangeField(this.#redis, [keys.webhooks(tenant)], args)) === 1) return record;
    throw new PlatformError(
      "webhook_endpoint_limit",
      `there are ${MOST_ENDPOINTS} webhook endpoints; delete one, or have one take more event types`,
    );
  }

  /** Change what is given. Enabling one that was disabled has it sent new events again. */
  async update(tenant: string, id: string, change: WebhookEndpointChange): Promise<EndpointRecord> {
    const { url, name, event_types: filters, status } = change;
    return this.#change(tenant, id, (record) => ({
      ...record,
      ...(url === undefined ? {} : { url }),
      ...(name === undefined ? {} : { name }),
      ...(filters === undefined ? {} : { filters: [...new Set(filters)] }),
      ...(status === undefined || status === record.status
        ? {}
        : { status, disabledReason: status === "disabled" ? "by_owner" : null }),
    }));
  }

  /**
   * Send it nothing more: its receiver is gone. One that has another URL since stays as it is, and of
   * one that was deleted there is nothing to do.
   */
  async disableGone(tenant: string, id: string, url: string): Promise<void> {
    try {
      await this.#change(tenant, id, (record) =>
        record.url === url && record.status === "enabled"
          ? { ...record, status: "disabled", disabledReason: "gone" }
          : record,
      );
    } catch (error) {
      const isDeleted =
        error instanceof PlatformError && error.code === "webhook_endpoint_not_found";
      if (!isDeleted) throw error;
    }
  }

  /** Make a new secret. @param keepOld whether events are signed with the one before as well, for 24 h */
  async rotateSecret(tenant: string, id: string, keepOld: boolean): Promise<EndpointRecord> {
    return this.#change(tenant, id, (record) => ({
      ...record,
      secrets: rotate(record.secrets, keepOld, this.#now()),
    }));
  }

  /** Forget it. What waits for it ends as failed. @throws PlatformError `webhook_endpoint_not_found` */
  async delete(tenant: string, id: string): Promise<void> {
    if ((await this.#redis.hdel(keys.webhooks(tenant), id)) === 0) {
      throw unknownEndpoint(id);
    }
  }

  /** @returns null while the tenant has none */
  async findDefaultSecret(tenant: string): Promise<DefaultSecretRecord | null> {
    const text = await this.#redis.hget(keys.webhookSecrets(tenant), JOBS);
    return text === null ? null : parseRecord(defaultSecretSchema, text);
  }

  /** Make the secret for the webhooks of single jobs, or put a new one in the place of the one before. */
  async renewDefaultSecret(tenant: string, keepOld: boolean): Promise<DefaultSecretRecord> {
    const renew = (before: DefaultSecretRecord | null): DefaultSecretRecord => ({
      secrets: before === null ? firstSecrets() : rotate(before.secrets, keepOld, this.#now()),
      createdAtMs: this.#now(),
    });
    return this.#exchange(keys.webhookSecrets(tenant), JOBS, {
      schema: defaultSecretSchema,
      change: renew,
    });
  }

  async #change(
    tenant: string,
    id: string,
    change: (record: EndpointRecord) => EndpointRecord,
  ): Promise<EndpointRecord> {
    return this.#exchange(keys.webhooks(tenant), id, {
      schema: endpointSchema,
      change: (before) => {
        if (before === null) throw unknownEndpoint(id);
        const after = change(before);
        return JSON.stringify(after) === JSON.stringify(before)
          ? before
          : { ...after, updatedAtMs: this.#now() };
      },
    });
  }

  async #exchange<Kept>(
    key: string,
    field: string,
    {
      schema,
      change,
    }: { readonly schema: z.ZodType<Kept>; readonly change: (before: Kept | null) => Kept },
  ): Promise<Kept> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const text = await this.#redis.hget(key, field);
      const after = change(text === null ? null : parseRecord(schema, text));
      const args = [field, text ?? "", JSON.stringify(after), 0];
      if ((await exchangeField(this.#redis, [key], args)) === 1) return after;
    }
    throw new PlatformError("queue_unavailable", "somebody else keeps changing this; try again");
  }
}

function parseRecord<Kept>(schema: z.ZodType<Kept>, text: string): Kept {
  return schema.parse(JSON.parse(text));
}

function unknownEndpoint(id: string): PlatformError {
  return new PlatformError("webhook_endpoint_not_found", `there is no webhook endpoint ${id}`);
}
