import { z } from "zod";

import { SseReader } from "./sse-reader.ts";

const bodySchema = z.looseObject({});

/** An answer with its body read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body, when it is a JSON object. */
  readonly body: Record<string, unknown>;
}

/** A plain HTTP client of the service under test. */
export class TestClient {
  readonly base: string;
  readonly #port: number;
  readonly #key: string;

  constructor(port: number, key: string) {
    this.base = `http://127.0.0.1:${port}`;
    this.#port = port;
    this.#key = key;
  }

  /** The header that it sends its key in. */
  get authorization(): { readonly authorization: string } {
    return { authorization: `Bearer ${this.#key}` };
  }

  /** The same client with another key. */
  with(key: string): TestClient {
    return new TestClient(this.#port, key);
  }

  /** Call, and read the whole answer. */
  async call(
    method: string,
    path: string,
    { body, headers = {} }: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const response = await this.open(method, path, { body, headers });
    const text = await response.text();
    const isJson = /^application\/json(;|$)/.test(response.headers.get("content-type") ?? "");
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text !== "" ? bodySchema.parse(JSON.parse(text)) : {},
    };
  }

  /** Call, and read the answer as a stream of events. */
  async stream(
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<SseReader> {
    const controller = new AbortController();
    const response = await this.open(method, path, { ...options, signal: controller.signal });
    return new SseReader(response, controller);
  }

  /** Submit a chat job. @returns its id */
  async submit(fields: object = {}, content = "Say something."): Promise<string> {
    const request = { model: "acme/test-model", messages: [{ role: "user", content }] };
    const body = { endpoint: "/v1/chat/completions", request, ...fields };
    const answer = await this.call("POST", "/v1/jobs", { body });
    return z.object({ id: z.string() }).parse(answer.body).id;
  }

  /** Call, and leave the answer to be read. */
  open(
    method: string,
    path: string,
    {
      body,
      headers = {},
      signal,
    }: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Response> {
    const isRaw = typeof body === "string" || body instanceof Uint8Array;
    const payload = isRaw ? body : JSON.stringify(body);
    return fetch(this.base + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(payload === undefined ? {} : { body: payload }),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}
