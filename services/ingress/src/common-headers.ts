import type { IncomingMessage } from "node:http";

import type { Headers } from "./answer.ts";
import { METHODS } from "./exchange.ts";

/** A browser keeps to TLS for a year, as browsers' own preload lists ask at least. */
const TLS_SECONDS = 31_536_000;
/** As long as Chromium remembers a preflight; others cut it to their own bound. */
const PREFLIGHT_SECONDS = 7_200;

/** What no answer of an API needs a browser to do with it: run, load, frame, sniff or refer. */
const SECURITY: Headers = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** Request headers that mean something here, beyond those that a browser sends unasked. */
const TAKEN_HEADERS = [
  "authorization",
  "content-type",
  "idempotency-key",
  "last-event-id",
  "prefer",
  "x-headrace-deadline-seconds",
  "x-headrace-priority",
  "x-request-id",
] as const;

/** What OpenAI's SDKs say of themselves with every call; the set grows with their versions. */
const SDK_HEADER = /^(?:x-stainless-[a-z-]{1,40}|openai-(?:beta|organization|project))$/;
/** An SDK names about ten. */
const MOST_SDK_HEADERS = 32;

/** Answer headers that a page's script may read; a browser hides all but a few from it. */
export const EXPOSED_HEADERS = [
  "content-range",
  "idempotent-replayed",
  "location",
  "preference-applied",
  "ratelimit",
  "ratelimit-policy",
  "retry-after",
  "retry-after-ms",
  "x-batch-status",
  "x-headrace-job-id",
  "x-process-time",
  "x-ratelimit-limit-requests",
  "x-ratelimit-limit-tokens",
  "x-ratelimit-remaining-requests",
  "x-ratelimit-remaining-tokens",
  "x-ratelimit-reset-requests",
  "x-ratelimit-reset-tokens",
  "x-request-id",
  "x-should-retry",
] as const;

export interface CommonHeadersOptions {
  /** Origins whose pages may call from a browser, as browsers spell them; empty turns CORS off. */
  readonly corsOrigins: readonly string[];
  /** Whether callers come over TLS, ended by a proxy before us. */
  readonly isBehindTls: boolean;
}

/**
 * The headers that every answer has, errors included: made once, since every request needs them.
 *
 * Pages of the listed origins may read our answers (CORS), and no others. They authenticate with
 * their key alone: browsers' own credentials, such as cookies, are never asked for.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol
 */
export class CommonHeaders {
  readonly #options: CommonHeadersOptions;
  #plain: Headers;
  #byOrigin: ReadonlyMap<string, Headers>;

  constructor(options: CommonHeadersOptions) {
    this.#options = options;
    this.#plain = toPlain(options);
    this.#byOrigin = this.#ofOrigins();
  }

  /** For callers that are no page of a listed origin. */
  get plain(): Headers {
    return this.#plain;
  }

  /** From now on each answer is its connection's last. */
  turnAway(): void {
    this.#plain = { ...toPlain(this.#options), connection: "close" };
    this.#byOrigin = this.#ofOrigins();
  }

  /** The headers of the answer to this request. */
  of({ headers }: IncomingMessage): Headers {
    return this.#byOrigin.get(headers.origin ?? "") ?? this.plain;
  }

  /**
   * Tell what to answer a browser that asks ahead whether a page may make a call.
   *
   * @returns null for any other request, and for a page of no listed origin: it is refused by
   *   finding no permission in whatever we answer
   */
  findPreflight({ method, headers }: IncomingMessage): Headers | null {
    const isAsking = method === "OPTIONS" && "access-control-request-method" in headers;
    if (!isAsking || !this.#byOrigin.has(headers.origin ?? "")) return null;
    const wanted = (headers["access-control-request-headers"] ?? "").toLowerCase();
    const ofSdk = wanted.split(",").map((name) => name.trim());
    const allowed = ofSdk.filter((name) => SDK_HEADER.test(name)).slice(0, MOST_SDK_HEADERS);
    return {
      "access-control-allow-headers": [...TAKEN_HEADERS, ...allowed].join(", "),
      "access-control-allow-methods": METHODS.join(", "),
      "access-control-max-age": String(PREFLIGHT_SECONDS),
      vary: "origin, access-control-request-headers",
    };
  }

  #ofOrigins(): ReadonlyMap<string, Headers> {
    return new Map(
      this.#options.corsOrigins.map((origin) => [
        origin,
        {
          ...this.#plain,
          "access-control-allow-origin": origin,
          "access-control-expose-headers": EXPOSED_HEADERS.join(", "),
        },
      ]),
    );
  }
}

function toPlain({ corsOrigins, isBehindTls }: CommonHeadersOptions): Headers {
  return {
    ...SECURITY,
    ...(isBehindTls ? { "strict-transport-security": `max-age=${TLS_SECONDS}` } : {}),
    // A cache must not hand one origin's permission, or the lack of one, to another.
    ...(corsOrigins.length === 0 ? {} : { vary: "origin" }),
  };
}
