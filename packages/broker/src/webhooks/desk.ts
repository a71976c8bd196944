import { createHash } from "node:crypto";

import { matchesFilter, type WebhookEvent, type WebhookEventType } from "@headrace/contract";
import type { Redis } from "ioredis";
import { z } from "zod";

import { keys } from "../keys.ts";
import { script } from "../script.ts";
import type { EndpointRecord, EndpointRegistry } from "./endpoint-registry.ts";

const enqueue = script("webhook-enqueue", z.literal([0, 1]));

/** Events that may wait for one receiver: at 1.5 kB each, 15 MB. */
const MOST_WAITING_FOR_RECEIVER = 10_000;
/** Events of one tenant that may wait in all. */
const MOST_WAITING_OF_TENANT = 50_000;
/** 128 bits of a digest, in hex. */
const DIGEST_LENGTH = 32;

/** Something ended that its tenant may want to be told of. */
export interface Occurrence {
  readonly tenant: string;
  readonly type: WebhookEventType;
  /** Id of what it happened to: a job's, a response's, a batch's. */
  readonly subject: string;
  readonly atMs: number;
  /** Where its submitter asked to be told, beside the tenant's endpoints; null for nowhere. */
  readonly webhook: string | null;
}

/** One event to one receiver. */
interface Addressed {
  readonly endpoint: string;
  readonly url: string;
  /** Whose window and circuit it comes under. */
  readonly lane: string;
  /** Whose log it is in. */
  readonly target: string;
}

/** The way in for events: each becomes one delivery per receiver that wants it. */
export class WebhookDesk {
  readonly #redis: Redis;
  readonly #registry: EndpointRegistry;
  readonly #clock: DeskClock;

  constructor(redis: Redis, registry: EndpointRegistry, clock: DeskClock = null) {
    this.#redis = redis;
    this.#registry = registry;
    this.#clock = clock;
  }

  /**
   * Have events delivered. Once this has resolved none of them is lost; whoever does not learn that it
   * has may call again with the same ones: ids are made from what happened, so each is delivered once
   * more at worst, under the same id.
   *
   * Costs a tenant that has no endpoints one read for all its events.
   */
  async enqueue(occurrences: readonly Occurrence[]): Promise<void> {
    const tenants = new Set(occurrences.map(({ tenant }) => tenant));
    const found = await Promise.all(
      [...tenants].map(async (tenant) => [tenant, await this.#registry.list(tenant)] as const),
    );
    const endpoints = new Map(found);
    await Promise.all(
      occurrences.flatMap((occurrence) =>
        addressesOf(occurrence, endpoints.get(occurrence.tenant) ?? []).map((address) =>
          this.#enqueue(occurrence, address),
        ),
      ),
    );
  }

  async #enqueue(occurrence: Occurrence, address: Addressed): Promise<void> {
    const event = toWebhookEvent(occurrence);
    await enqueue(
      this.#redis,
      [keys.webhookTenants],
      [
        keys.webhookSlot,
        this.#clock?.() ?? "",
        `whd_${digestOf(event.id, address.target, address.url)}`,
        occurrence.tenant,
        address.lane,
        address.target,
        address.endpoint,
        address.url,
        JSON.stringify(event),
        MOST_WAITING_FOR_RECEIVER,
        MOST_WAITING_OF_TENANT,
      ],
    );
  }
}

/** Time that a test goes by, ms; null for Redis' own. */
export type DeskClock = (() => number) | null;

/** In which log the deliveries of a tenant's single jobs are. */
export function jobsTarget(tenant: string): string {
  return `jobs:${tenant}`;
}

/** Write an occurrence as it is sent. Its id is the same whenever and wherever that is done. */
function toWebhookEvent({ type, subject, atMs }: Occurrence): WebhookEvent {
  return {
    id: `evt_${digestOf(subject, type)}`,
    object: "event",
    type,
    created_at: Math.floor(atMs / 1_000),
    data: { id: subject },
  };
}

function addressesOf(
  { tenant, type, webhook }: Occurrence,
  endpoints: readonly EndpointRecord[],
): Addressed[] {
  const wanting = endpoints.filter(
    ({ status, filters }) => status === "enabled" && matchesFilter(filters, type),
  );
  const addresses = wanting.map(({ id }) => ({ endpoint: id, url: "", lane: id, target: id }));
  if (webhook === null) return addresses;
  // By host, since every job may name another path; by tenant, so that none pays for another's.
  const lane = `host_${digestOf(tenant, new URL(webhook).host)}`;
  return [...addresses, { endpoint: "", url: webhook, lane, target: jobsTarget(tenant) }];
}

function digestOf(...parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, DIGEST_LENGTH);
}
