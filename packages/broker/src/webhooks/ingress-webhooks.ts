import type { WebhookEndpointChange, WebhookEndpointForm } from "@headrace/contract";
import type { Redis } from "ioredis";

import { guard } from "../guard.ts";
import { DeliveryLog, type DeliveryQuery, type ListedDelivery } from "./delivery-log.ts";
import { jobsTarget } from "./desk.ts";
import type { DefaultSecretRecord, EndpointRecord, EndpointRegistry } from "./endpoint-registry.ts";

/** Which deliveries of a tenant to list: an endpoint's, or with null those of its single jobs. */
export type TenantDeliveryQuery = Omit<DeliveryQuery, "target"> & {
  readonly endpoint: string | null;
};

/**
 * Webhooks as an ingress sees them: endpoints, secrets, and what became of deliveries. Every call is
 * on behalf of a tenant, and another one's things are unknown to it. All fail with
 * `queue_unavailable` while Redis is away.
 */
export class IngressWebhooks {
  readonly #registry: EndpointRegistry;
  readonly #log: DeliveryLog;

  constructor(redis: Redis, registry: EndpointRegistry) {
    this.#registry = registry;
    this.#log = new DeliveryLog(redis);
  }

  /** All of a tenant's endpoints, newest first. */
  async listEndpoints(tenant: string): Promise<EndpointRecord[]> {
    return guard(this.#registry.list(tenant));
  }

  /** @throws PlatformError `webhook_endpoint_not_found` */
  async getEndpoint(tenant: string, id: string): Promise<EndpointRecord> {
    return guard(this.#registry.get(tenant, id));
  }

  /** @throws PlatformError `webhook_endpoint_limit` */
  async createEndpoint(tenant: string, form: WebhookEndpointForm): Promise<EndpointRecord> {
    return guard(this.#registry.create(tenant, form));
  }

  /** @throws PlatformError `webhook_endpoint_not_found` */
  async updateEndpoint(
    tenant: string,
    id: string,
    change: WebhookEndpointChange,
  ): Promise<EndpointRecord> {
    return guard(this.#registry.update(tenant, id, change));
  }

  /** @throws PlatformError `webhook_endpoint_not_found` */
  async deleteEndpoint(tenant: string, id: string): Promise<void> {
    await guard(this.#registry.delete(tenant, id));
  }

  /** @throws PlatformError `webhook_endpoint_not_found` */
  async rotateSecret(tenant: string, id: string, keepOld: boolean): Promise<EndpointRecord> {
    return guard(this.#registry.rotateSecret(tenant, id, keepOld));
  }

  /** The secret for the webhooks of single jobs; null while there is none. */
  async findDefaultSecret(tenant: string): Promise<DefaultSecretRecord | null> {
    return guard(this.#registry.findDefaultSecret(tenant));
  }

  /** Make that secret, or a new one in its place. */
  async renewDefaultSecret(tenant: string, keepOld: boolean): Promise<DefaultSecretRecord> {
    return guard(this.#registry.renewDefaultSecret(tenant, keepOld));
  }

  /** @throws PlatformError `webhook_endpoint_not_found`, `webhook_delivery_not_found` for `after` */
  async listDeliveries(
    tenant: string,
    { endpoint, ...query }: TenantDeliveryQuery,
  ): Promise<{ readonly deliveries: ListedDelivery[]; readonly hasMore: boolean }> {
    return guard(this.#log.list({ ...query, target: await this.#targetOf(tenant, endpoint) }));
  }

  /** @throws PlatformError `webhook_delivery_not_found` */
  async getDelivery(tenant: string, id: string): Promise<ListedDelivery> {
    return guard(this.#log.get(tenant, id));
  }

  /** Start a delivery over. @throws PlatformError `webhook_delivery_not_found` */
  async replayDelivery(tenant: string, id: string): Promise<ListedDelivery> {
    return guard(this.#log.replay(tenant, id));
  }

  /** Start over what failed since. @returns how many @throws PlatformError `webhook_endpoint_not_found` */
  async replayFailed(tenant: string, endpoint: string | null, sinceMs: number): Promise<number> {
    return guard(this.#log.replayFailed(await this.#targetOf(tenant, endpoint), sinceMs));
  }

  /** An endpoint that the tenant has: what is not its own has no log to it. */
  async #targetOf(tenant: string, endpoint: string | null): Promise<string> {
    if (endpoint === null) return jobsTarget(tenant);
    return (await this.getEndpoint(tenant, endpoint)).id;
  }
}
