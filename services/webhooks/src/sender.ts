import type { LookupAddress, LookupOptions } from "node:dns";
import type { LookupFunction } from "node:net";

import type { WebhookTryError } from "@headrace/contract";
import { AddressNotAllowed, hostnameOf, type AddressPolicy } from "@headrace/receivers";
import { Client } from "undici";

import { lookUpLocally, type Resolve } from "./resolver.ts";

/** What is read of an answer's body, so that it need not be broken off; nobody looks at it. */
const MOST_BODY_BYTES = 65_536;
/** How long an answer's body may take after its head has come. */
const BODY_MS = 1_000;
const MOST_HEAD_BYTES = 16_384;
/** Standard Webhooks: 15 to 30 s. */
const SEND_MS = 15_000;

/** A webhook, ready to be sent. */
export interface Message {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What the receiver said. */
export interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
}

/** There is no answer. */
export class SendFailure extends Error {
  override readonly name = "SendFailure";
  readonly error: WebhookTryError;

  constructor(error: WebhookTryError, options?: ErrorOptions) {
    super(`the webhook was not answered: ${error}`, options);
    this.error = error;
  }
}

/**
 * Sends webhooks to receivers that nobody vouches for.
 *
 * Each goes over a connection of its own, to an address that was found and judged for it alone: what a
 * name meant when it was entered, or last time, is no proof of what it means now. No redirect is
 * followed, no proxy of the environment used, and all of it takes 15 s at most.
 */
export class Sender {
  readonly #policy: AddressPolicy;
  readonly #resolve: Resolve;
  readonly #limitMs: number;

  constructor(policy: AddressPolicy, resolve: Resolve, limitMs: number = SEND_MS) {
    this.#policy = policy;
    this.#resolve = resolve;
    this.#limitMs = limitMs;
  }

  /**
   * Send, and read the answer's head.
   *
   * @throws SendFailure when there is none; the signal's reason once it is aborted
   */
  async send(message: Message, signal: AbortSignal): Promise<Answer> {
    const url = URL.parse(message.url);
    if (url === null) throw new SendFailure("address_not_allowed");
    try {
      this.#policy.assertUrl(url);
      return await this.#exchange(url, message, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw new SendFailure(classify(error), { cause: error });
    }
  }

  async #exchange(url: URL, message: Message, signal: AbortSignal): Promise<Answer> {
    const client = new Client(url.origin, {
      connect: { lookup: this.#lookupFor(url), timeout: this.#limitMs },
      headersTimeout: this.#limitMs,
      bodyTimeout: this.#limitMs,
      maxHeaderSize: MOST_HEAD_BYTES,
      // One request per connection: it closes behind the answer.
      pipelining: 0,
    });
    try {
      const { statusCode, headers, body } = await client.request({
        method: "POST",
        path: url.pathname + url.search,
        headers: message.headers,
        body: message.body,
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#limitMs)]),
      });
      // The head says it all: a body that is too long, too slow or broken off changes nothing.
      body.on("error", () => undefined);
      const limits = { limit: MOST_BODY_BYTES, signal: AbortSignal.timeout(BODY_MS) };
      await body.dump(limits).catch(() => undefined);
      return { status: statusCode, retryAfter: headers["retry-after"]?.toString() ?? null };
    } finally {
      await client.destroy();
    }
  }

  #lookupFor(url: URL): LookupFunction {
    return (hostname, options, callback) => void this.#lookUp(url, { hostname, options }, callback);
  }

  /** Hand on to the connection what may be connected to, and nothing else, whatever comes of it. */
  async #lookUp(
    url: URL,
    { hostname, options }: { readonly hostname: string; readonly options: LookupOptions },
    callback: Parameters<LookupFunction>[2],
  ): Promise<void> {
    let addresses: LookupAddress[];
    try {
      addresses = await this.#findAddresses(url, hostname);
    } catch (error) {
      callback(toError(error), "");
      return;
    }
    const [first] = addresses;
    if (options.all === true) callback(null, addresses);
    else callback(null, first?.address ?? "", first?.family);
  }

  async #findAddresses(url: URL, hostname: string): Promise<LookupAddress[]> {
    const isOwn = this.#policy.isVouchedFor(hostnameOf(url));
    const found = isOwn ? await lookUpLocally(hostname) : await this.#resolve(hostname);
    return this.#policy.vet(url, found);
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Names of errors' codes begin with these, or are these. */
const KINDS: readonly (readonly [RegExp, WebhookTryError])[] = [
  [
    /^(ENOTFOUND|ENODATA|ESERVFAIL|EREFUSED|EBADNAME|EBADRESP|EAI_|ENONAME|EFORMERR)/,
    "name_not_found",
  ],
  [/^(ETIMEOUT|ETIMEDOUT|UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT)/, "timeout"],
  [
    /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH)/,
    "tls_failed",
  ],
  [/^(HPE_|UND_ERR_HEADERS_OVERFLOW|UND_ERR_(RES|RESPONSE)|UND_ERR_INVALID)/, "answer_invalid"],
];

function classify(error: unknown): WebhookTryError {
  if (error instanceof AddressNotAllowed) return "address_not_allowed";
  if (!(error instanceof Error)) return "connection_failed";
  if (error.name === "TimeoutError") return "timeout";
  if (error.name === "HTTPParserError") return "answer_invalid";
  // Several addresses fail with one error each.
  const first: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const code = codeOf(error) ?? codeOf(first) ?? "";
  return KINDS.find(([pattern]) => pattern.test(code))?.[1] ?? "connection_failed";
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
