import { HeadraceError, readRefusal, toConnectionError, toInvalidResponse } from "./error.ts";
import type { Multipart } from "./multipart.ts";
import { pause, pauseBefore, type OnRetry, type Timing } from "./timing.ts";

/** What the client needs of a contract's schema. */
export interface Schema<Value> {
  safeParse(value: unknown): { success: true; data: Value } | { success: false };
}

/** One call of the API. */
export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  /** Without the base URL: `/v1/jobs`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** How long the server may hold the answer back, ms, as a long poll asks it to. */
  readonly heldMs?: number;
}

/** Tries of one call, the first included. */
const MOST_TRIES = 5;

export interface TransportOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly fetch: typeof fetch;
  readonly timing: Timing;
  readonly onRetry: OnRetry;
}

/** Carries calls to one server. Every call of the API is safe to repeat, so every call is. */
export class Transport {
  readonly timing: Timing;
  readonly onRetry: OnRetry;
  readonly #base: URL;
  readonly #headers: Headers;
  readonly #options: TransportOptions;

  /** @throws TypeError for a URL or a key that cannot be sent */
  constructor(options: TransportOptions) {
    this.timing = options.timing;
    this.onRetry = options.onRetry;
    this.#base = new URL(options.url.endsWith("/") ? options.url : `${options.url}/`);
    this.#headers = new Headers({ authorization: `Bearer ${options.apiKey}` });
    this.#options = options;
  }

  /**
   * Make a call and read its answer, trying again (5 times in all) where that can help.
   *
   * @throws HeadraceError
   */
  async json<Value>(call: Call, schema: Schema<Value>): Promise<Value> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.jsonOnce(call, schema);
      } catch (error) {
        if (!(error instanceof HeadraceError) || !error.retryable || tries === MOST_TRIES) {
          throw error;
        }
        const pauseMs = pauseBefore(tries, error, this.timing);
        if (pauseMs === null) throw error;
        this.onRetry(error, pauseMs);
        await pause(pauseMs, call.signal);
      }
    }
  }

  /** Make a call once and read its answer. @throws HeadraceError */
  async jsonOnce<Value>(call: Call, schema: Schema<Value>): Promise<Value> {
    const timeout = new Deadline(this.timing.answerMs + (call.heldMs ?? 0), "no answer");
    try {
      const response = await this.open(call, timeout.signal);
      const value: unknown = await parseJson(response);
      const parsed = schema.safeParse(value);
      if (!parsed.success) throw toInvalidResponse(response, "the API promises");
      return parsed.data;
    } catch (error) {
      throw this.explain(error, call.signal);
    } finally {
      timeout.clear();
    }
  }

  /** Send a form once, for as long as that takes, and read the answer. @throws HeadraceError */
  async sendForm<Value>(
    call: Call,
    form: FormData | Multipart,
    schema: Schema<Value>,
  ): Promise<Value> {
    try {
      const response = await this.#send(call, form, call.signal);
      const parsed = schema.safeParse(await parseJson(response));
      if (!parsed.success) throw toInvalidResponse(response, "the API promises");
      return parsed.data;
    } catch (error) {
      throw this.explain(error, call.signal);
    }
  }

  /**
   * Send a call once and give its response with the body unread.
   *
   * @param limit ends the exchange, also while the body is being read
   * @throws HeadraceError when the server refuses; whatever `fetch` throws when there is no answer
   */
  async open(call: Call, limit: AbortSignal): Promise<Response> {
    const signal = call.signal === undefined ? limit : AbortSignal.any([call.signal, limit]);
    return this.#send(
      call,
      call.body === undefined ? undefined : JSON.stringify(call.body),
      signal,
    );
  }

  async #send(
    call: Call,
    body: string | FormData | Multipart | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const url = new URL(call.path.slice(1), this.#base);
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers = new Headers(this.#headers);
    for (const [name, value] of Object.entries(call.headers ?? {})) headers.set(name, value);
    // A form names its own type, with the boundary that it is written with.
    if (typeof body === "string") headers.set("content-type", "application/json");
    if (isMultipart(body)) headers.set("content-type", body.contentType);
    // Browsers refuse a `fetch` that is called as somebody's method.
    const { fetch } = this.#options;
    const response = await fetch(url, {
      method: call.method,
      headers,
      ...(signal === undefined ? {} : { signal }),
      ...bodyOf(body),
    });
    if (!response.ok) throw await readRefusal(response);
    return response;
  }

  /** Tell what a failed exchange means: the caller's own abort, or a `HeadraceError`. */
  explain(error: unknown, signal: AbortSignal | undefined): unknown {
    return signal?.aborted === true ? signal.reason : toConnectionError(this.#base, error);
  }
}

function isMultipart(body: string | FormData | Multipart | undefined): body is Multipart {
  return typeof body === "object" && "contentType" in body;
}

function bodyOf(body: string | FormData | Multipart | undefined): RequestInit {
  if (body === undefined) return {};
  // What is sent as it comes is sent before an answer can be read, and `fetch` wants that said.
  return isMultipart(body) ? { body: body.body, duplex: "half" } : { body };
}

/** Ends an exchange that takes too long, or has been silent for too long. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #what: string;
  #timer: ReturnType<typeof setTimeout>;

  constructor(ms: number, what: string) {
    this.#what = what;
    this.#timer = this.#start(ms);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Count anew. */
  restart(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = this.#start(ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }

  #start(ms: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      const fields = { status: null, code: "connection_timeout", retryable: true };
      this.#controller.abort(new HeadraceError(`${this.#what} within ${ms / 1_000} s`, fields));
    }, ms);
  }
}

async function parseJson(response: Response): Promise<unknown> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw toInvalidResponse(response, "JSON");
  }
}
