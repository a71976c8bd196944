import type { WebhookFailure } from "@headrace/contract";
import type { Redis } from "ioredis";

import { assertFit } from "../fitness.ts";
import { insist, Turns, type Insistence } from "../insist.ts";
import { connectWorker, whenReady, type Report as ReportFailure } from "../redis.ts";
import { DeliveryQueue, type ClaimedDelivery, type Report } from "./delivery-queue.ts";
import { EndpointRegistry } from "./endpoint-registry.ts";
import { validSecrets } from "./secrets.ts";

/** How long a starting process waits for Redis before it gives up and lets itself be restarted. */
const READY_MS = 30_000;

/** Where to send a delivery and what to sign it with; or why it is not to be sent at all. */
export type Recipient =
  | { readonly url: string; readonly secrets: readonly string[] }
  | { readonly failure: WebhookFailure };

export interface WebhookBrokerOptions {
  readonly redisUrl: string;
  /** Receives failures that no call can report, such as a lost connection. */
  readonly report: ReportFailure;
  /** Time that a test goes by, ms; left out, secrets expire by this machine's clock, all else by Redis'. */
  readonly now?: () => number;
}

/** The broker as a process that delivers webhooks sees it. */
export class WebhookBroker {
  readonly #redis: Redis;
  readonly #queue: DeliveryQueue;
  readonly #registry: EndpointRegistry;
  readonly #insistence: Insistence;
  readonly #patience = new AbortController();
  readonly #now: () => number;

  private constructor(redis: Redis, { report, now }: WebhookBrokerOptions) {
    this.#redis = redis;
    this.#now = now ?? Date.now;
    this.#queue = new DeliveryQueue(redis, now ?? null);
    this.#registry = new EndpointRegistry(redis, this.#now);
    this.#insistence = { redis, turns: new Turns(), report, signal: this.#patience.signal };
  }

  /** Connect. @throws PlatformError `queue_unavailable` when Redis is away for 30 s, or unfit */
  static async open(options: WebhookBrokerOptions): Promise<WebhookBroker> {
    const redis = connectWorker(options.redisUrl, options.report);
    try {
      await whenReady(redis, READY_MS);
      await assertFit(redis);
      return new WebhookBroker(redis, options);
    } catch (error) {
      redis.disconnect();
      throw error;
    }
  }

  /** Ask Redis for a sign of life. */
  async ping(): Promise<void> {
    await this.#redis.ping();
  }

  /** Take deliveries that are due. @see DeliveryQueue.claim */
  async claim(
    most: number,
  ): Promise<{ readonly deliveries: ClaimedDelivery[]; readonly nextMs: number | null }> {
    return this.#queue.claim(most);
  }

  /**
   * Say what came of a delivery; an outage of Redis is waited out.
   *
   * @returns false when it had become another process'
   */
  async settle(delivery: ClaimedDelivery, report: Report): Promise<boolean> {
    return insist(() => this.#queue.settle(delivery, report), this.#insistence);
  }

  /** Look up where a delivery goes, as of now: endpoints change while events wait for them. */
  async findRecipient({ tenant, endpoint, url }: ClaimedDelivery): Promise<Recipient> {
    return insist(async () => {
      if (endpoint === null) {
        const kept = await this.#registry.findDefaultSecret(tenant);
        return { url: url ?? "", secrets: validSecrets(kept?.secrets ?? [], this.#now()) };
      }
      const record = await this.#registry.find(tenant, endpoint);
      if (record === null) return { failure: "endpoint_deleted" };
      if (record.status === "disabled") {
        return { failure: record.disabledReason === "gone" ? "gone" : "endpoint_disabled" };
      }
      return { url: record.url, secrets: validSecrets(record.secrets, this.#now()) };
    }, this.#insistence);
  }

  /** Send an endpoint nothing more: its receiver at `url` says that it is gone. */
  async disableGone({ tenant, endpoint }: ClaimedDelivery, url: string): Promise<void> {
    if (endpoint === null) return;
    await insist(() => this.#registry.disableGone(tenant, endpoint, url), this.#insistence);
  }

  /** Leave: nothing is insisted on any more. What is not settled is delivered again by others. */
  close(): void {
    this.#patience.abort();
    this.#redis.disconnect();
  }
}
