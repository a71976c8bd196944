import {
  findWebhookFault,
  newWebhookSecretSchema,
  webhookDeliveryListSchema,
  webhookDeliverySchema,
  webhookEndpointDeletedSchema,
  webhookEndpointListSchema,
  webhookEndpointSchema,
  webhookEndpointWithSecretSchema,
  webhookEventSchema,
  webhookReplaySchema,
  webhookSecretSchema,
  type NewWebhookSecret,
  type WebhookDelivery,
  type WebhookDeliveryList,
  type WebhookDeliveryStatus,
  type WebhookEndpoint,
  type WebhookEndpointChange,
  type WebhookEndpointDeleted,
  type WebhookEndpointForm,
  type WebhookEndpointList,
  type WebhookEndpointWithSecret,
  type WebhookEvent,
  type WebhookFault,
  type WebhookReplay,
  type WebhookSecret,
} from "@headrace/contract";

import { HeadraceError } from "./error.ts";
import type { Transport } from "./transport.ts";

const ENDPOINTS = "/v1/webhook_endpoints";
const DELIVERIES = "/v1/webhook_deliveries";
const SECRET = "/v1/webhook_secret";

/** What every call takes: aborting the signal rejects with the signal's reason. */
interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Which page of a list. */
interface PageQuery {
  /** Items per page, 1 to 100. */
  readonly limit?: number | undefined;
  /** Id of the last item of the page before. */
  readonly after?: string | undefined;
}

/** Which deliveries to list: an endpoint's, or without one those of single jobs. */
export interface WebhookDeliveryQuery extends PageQuery {
  readonly endpoint?: string | undefined;
  readonly status?: WebhookDeliveryStatus | undefined;
}

const FAULTS: Readonly<Record<WebhookFault, string>> = {
  headers_missing: "it lacks webhook-id, webhook-timestamp or webhook-signature",
  timestamp_invalid: "its timestamp is more than five minutes from this machine's clock",
  signature_invalid: "its signature is of another secret, or of another body",
};

/**
 * Webhooks: where events are sent, what became of them, and how their receiver tells them from
 * forgeries. Calls fail as those of `Headrace` do.
 */
export class Webhooks {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Have events sent to an address. The answer holds the secret, this once. Tried once only: who does
   * not see the answer should look whether there is an endpoint before making another.
   */
  async create(
    form: WebhookEndpointForm,
    { signal }: CallOptions = {},
  ): Promise<WebhookEndpointWithSecret> {
    return this.#transport.jsonOnce(
      { method: "POST", path: ENDPOINTS, body: form, signal },
      webhookEndpointWithSecretSchema,
    );
  }

  /** Get one page of endpoints, newest first. */
  async list(query: PageQuery = {}, { signal }: CallOptions = {}): Promise<WebhookEndpointList> {
    return this.#transport.json(
      { method: "GET", path: ENDPOINTS, query: { ...query }, signal },
      webhookEndpointListSchema,
    );
  }

  /** @throws HeadraceError `webhook_endpoint_not_found` */
  async get(id: string, { signal }: CallOptions = {}): Promise<WebhookEndpoint> {
    return this.#transport.json(
      { method: "GET", path: endpointPath(id), signal },
      webhookEndpointSchema,
    );
  }

  /** Change what is given. @throws HeadraceError `webhook_endpoint_not_found` */
  async update(
    id: string,
    change: WebhookEndpointChange,
    { signal }: CallOptions = {},
  ): Promise<WebhookEndpoint> {
    return this.#transport.json(
      { method: "POST", path: endpointPath(id), body: change, signal },
      webhookEndpointSchema,
    );
  }

  /** Send it nothing more. @throws HeadraceError `webhook_endpoint_not_found`, also when an earlier try did */
  async delete(id: string, { signal }: CallOptions = {}): Promise<WebhookEndpointDeleted> {
    return this.#transport.json(
      { method: "DELETE", path: endpointPath(id), signal },
      webhookEndpointDeletedSchema,
    );
  }

  /**
   * Make a new secret, shown this once.
   *
   * @param keepOld whether events are signed with the one before as well, for 24 h
   */
  async rotateSecret(
    id: string,
    { keepOld, signal }: CallOptions & { readonly keepOld: boolean },
  ): Promise<WebhookEndpointWithSecret> {
    return this.#transport.jsonOnce(
      {
        method: "POST",
        path: `${endpointPath(id)}/rotate_secret`,
        body: { keep_old_secret_active_for_24_hours: keepOld },
        signal,
      },
      webhookEndpointWithSecretSchema,
    );
  }

  /** See which secret signs single jobs' webhooks. @throws HeadraceError `webhook_secret_not_found` */
  async secret({ signal }: CallOptions = {}): Promise<WebhookSecret> {
    return this.#transport.json({ method: "GET", path: SECRET, signal }, webhookSecretSchema);
  }

  /** Make that secret, or another in its place, shown this once. */
  async renewSecret({
    keepOld,
    signal,
  }: CallOptions & { readonly keepOld: boolean }): Promise<NewWebhookSecret> {
    return this.#transport.jsonOnce(
      {
        method: "POST",
        path: SECRET,
        body: { keep_old_secret_active_for_24_hours: keepOld },
        signal,
      },
      newWebhookSecretSchema,
    );
  }

  /** Get one page of deliveries, newest first. */
  async deliveries(
    { endpoint, ...query }: WebhookDeliveryQuery = {},
    { signal }: CallOptions = {},
  ): Promise<WebhookDeliveryList> {
    const path = endpoint === undefined ? DELIVERIES : `${endpointPath(endpoint)}/deliveries`;
    return this.#transport.json(
      { method: "GET", path, query: { ...query }, signal },
      webhookDeliveryListSchema,
    );
  }

  /** Send one event again, under its old id. @throws HeadraceError `webhook_delivery_not_found` */
  async replay(id: string, { signal }: CallOptions = {}): Promise<WebhookDelivery> {
    return this.#transport.json(
      { method: "POST", path: `${DELIVERIES}/${encodeURIComponent(id)}/replay`, signal },
      webhookDeliverySchema,
    );
  }

  /** Send again what failed of an endpoint's. @param since Unix seconds; left out, all that is kept */
  async replayFailed(
    endpoint: string,
    { since, signal }: CallOptions & { readonly since?: number | undefined } = {},
  ): Promise<WebhookReplay> {
    return this.#transport.json(
      {
        method: "POST",
        path: `${endpointPath(endpoint)}/replay`,
        body: since === undefined ? {} : { since },
        signal,
      },
      webhookReplaySchema,
    );
  }
}

/**
 * Check that a webhook is genuine and not an old one sent again, and read it.
 *
 * @param body as it came: parsed and written again it no longer verifies
 * @throws HeadraceError `webhook_invalid`
 */
export async function unwrapWebhook(
  body: string,
  headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>,
  secret: string,
): Promise<WebhookEvent> {
  const fault = await findWebhookFault({ body, read: readerOf(headers) }, secret);
  if (fault !== null) throw invalidWebhook(FAULTS[fault]);
  const parsed = webhookEventSchema.safeParse(JSON.parse(body));
  if (!parsed.success) throw invalidWebhook("it holds no event that this client knows");
  return parsed.data;
}

function readerOf(
  headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>,
): (name: string) => string | null {
  if (headers instanceof Headers) return (name) => headers.get(name);
  return (name) => {
    const value = headers[name];
    return typeof value === "string" ? value : null;
  };
}

function invalidWebhook(why: string): HeadraceError {
  const fields = { status: null, code: "webhook_invalid", retryable: false };
  return new HeadraceError(`this is no webhook of Headrace: ${why}`, fields);
}

function endpointPath(id: string): string {
  return `${ENDPOINTS}/${encodeURIComponent(id)}`;
}
