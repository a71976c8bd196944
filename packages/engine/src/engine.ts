import { usageSchema } from "@headrace/contract";
import { Pool, type Dispatcher } from "undici";
import { z } from "zod";

import { BodyReader, type BodyReply } from "./body-reader.ts";
import { EngineError, isPriorityRefused } from "./error.ts";
import { Exchange, type ExchangeLimits } from "./exchange.ts";
import { parseLoad, type EngineLoad } from "./gauges.ts";
import { GenerationReader, type EngineOutcome, type EngineSink } from "./generation.ts";
import type { Reader } from "./reader.ts";
import {
  countChoices,
  streamingBody,
  tokenIdsMode,
  withPriority,
  type EngineCall,
  type EngineRequest,
} from "./request.ts";
import { readTraits, type EngineTraits } from "./traits.ts";

/** Where the engine is and how long to bear with it. */
export interface EngineOptions {
  /** Base address; a trailing `/v1`, as OpenAI clients write it, is dropped. */
  readonly url: string;
  /** vLLM's `--api-key`. */
  readonly apiKey?: string;
  /** Most generations and calls at once, each on a connection of its own. */
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
  /**
   * From sending the request to the first token; for a call, to the first byte of its answer. The
   * engine's own queue and prefill are in it.
   */
  readonly firstTokenTimeoutMs: number;
  /**
   * Between two chunks. Generous, because vLLM says nothing while a tool parser or a stop string
   * holds tokens back.
   */
  readonly silenceTimeoutMs: number;
  /** Bytes of one response as it comes over the wire, so some 300 per streamed token. */
  readonly maxOutputBytes: number;
}

/** Pages about the engine must come in this time, in milliseconds: longer, and they are stale. */
const PAGE_TIMEOUT_MS = 5_000;
/** vLLM's `/metrics` page is some 100 kB for each model and engine process. */
const MAX_PAGE_BYTES = 8_388_608;
/** How servers say that they lack a page: 501 is llama.cpp's word for its `/metrics`. */
const LACKS_PAGE = [404, 405, 501];
/** Connections for pages, so that a full engine can still be asked how full it is. */
const PAGE_CONNECTIONS = 2;
/**
 * uvicorn, which serves vLLM, closes connections after 5 s without a request; giving them up first
 * keeps a request from being sent into one that is closing. Milliseconds.
 */
const KEEP_ALIVE_MS = 4_000;

/**
 * The one door to a vLLM or any other OpenAI-compatible server.
 *
 * Built on undici's `dispatch`, the cheapest way it has: a streamed response of 64 chunks costs
 * 1.0 ms of CPU here, parsed and checked, where undici takes 0.7 ms for the bytes alone, and 0.75
 * (`stream`), 0.9 (`request`) or 1.7 (`fetch`) by its other ways. Measured by
 * `bench/stream-cpu.ts`, 64 streams at once, 10 ms between chunks, on a 2-core cloud machine,
 * 24 November 2026.
 */
export class Engine {
  readonly #pool: Pool;
  readonly #basePath: string;
  readonly #maxConnections: number;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #limits: ExchangeLimits;
  readonly #pageLimits: ExchangeLimits;
  #connectionsInUse = 0;
  #takesPriority = true;

  constructor(options: EngineOptions) {
    const url = new URL(options.url);
    this.#basePath = url.pathname.replace(/\/+$/, "").replace(/\/v1$/, "");
    this.#maxConnections = options.maxConnections;
    this.#headers =
      options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` };
    this.#limits = {
      connectMs: options.connectTimeoutMs,
      firstMs: options.firstTokenTimeoutMs,
      silenceMs: options.silenceTimeoutMs,
      maxBytes: options.maxOutputBytes,
    };
    this.#pageLimits = {
      connectMs: options.connectTimeoutMs,
      firstMs: PAGE_TIMEOUT_MS,
      silenceMs: PAGE_TIMEOUT_MS,
      maxBytes: MAX_PAGE_BYTES,
    };
    this.#pool = new Pool(url.origin, {
      connections: options.maxConnections + PAGE_CONNECTIONS,
      connectTimeout: options.connectTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * Find out what the server is and can do.
   *
   * @throws EngineError when it cannot be reached or does not list its models as OpenAI does
   */
  async probe(signal: AbortSignal): Promise<EngineTraits> {
    const [models, version, metrics] = await Promise.all([
      this.#getPage("/v1/models", signal),
      this.#findPage("/version", signal),
      this.#findPage("/metrics", signal),
    ]);
    return readTraits({ models, version, metrics });
  }

  /**
   * Stream one generation into the sink. Resolves only for a generation that is whole.
   *
   * @throws EngineError engine_full (no room in the engine, or all connections in use),
   * engine_rejected (the request is at fault), engine_unavailable (no connection, or the stream was
   * cut), engine_timeout (a phase took too long), engine_failed (5xx, or not its protocol),
   * output_too_large; the signal's reason when it aborts, which closes the connection and so ends
   * the generation in vLLM; whatever the sink throws
   */
  async stream(
    request: EngineRequest,
    sink: EngineSink,
    signal: AbortSignal,
  ): Promise<EngineOutcome> {
    return this.#withPriority(request, (sent) => {
      const reader = new GenerationReader(countChoices(sent), sink, tokenIdsMode(sent));
      return this.#post({ ...sent, text: streamingBody(sent) }, reader, signal);
    });
  }

  /**
   * Make one request that is answered whole.
   *
   * @throws EngineError as `stream` does
   */
  async call(call: EngineCall, signal: AbortSignal): Promise<EngineReply> {
    const reply = await this.#withPriority(call, (sent) => {
      const text = JSON.stringify(withPriority(sent.body, sent.priority));
      return this.#post({ ...sent, text }, new BodyReader([200]), signal);
    });
    return toEngineReply(reply);
  }

  /**
   * Spell token ids in text. Incomplete characters become U+FFFD, special tokens are spelled by name.
   *
   * @throws EngineError engine_rejected when the engine cannot do that; others as `stream` does
   */
  async detokenize(model: string, ids: readonly number[], signal: AbortSignal): Promise<string> {
    const { text } = await this.#exchange([200], signal, {
      method: "POST",
      path: "/detokenize",
      body: JSON.stringify({ model, tokens: ids }),
    });
    return toText(text);
  }

  /**
   * Ask how busy the engine is.
   *
   * @returns null when the server does not publish vLLM's gauges
   * @throws EngineError when it cannot be reached or does not answer within 5 s
   */
  async load(signal: AbortSignal): Promise<EngineLoad | null> {
    const page = await this.#findPage("/metrics", signal);
    return page === null ? null : parseLoad(page);
  }

  /** Close every connection; what is still running fails with engine_unavailable. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  /**
   * Send with the priority; without it once the server has said that it schedules without. Nothing
   * else tells: the policy is a flag of the server's, which may be another after a restart.
   */
  async #withPriority<Sent extends Pick<EngineRequest, "priority">, Result>(
    request: Sent,
    send: (request: Sent) => Promise<Result>,
  ): Promise<Result> {
    const plain = { ...request, priority: 0 };
    if (!this.#takesPriority) return send(plain);
    try {
      return await send(request);
    } catch (error) {
      if (!isPriorityRefused(error)) throw error;
      this.#takesPriority = false;
      return send(plain);
    }
  }

  async #post<Result>(call: Post, reader: Reader<Result>, signal: AbortSignal): Promise<Result> {
    if (this.#connectionsInUse >= this.#maxConnections) {
      const message = `all ${this.#maxConnections} connections to the engine are in use`;
      throw new EngineError("engine_full", message, { wasSent: false });
    }
    this.#connectionsInUse += 1;
    try {
      return await new Exchange(reader, this.#limits, signal).run(this.#pool, {
        method: "POST",
        path: `${this.#basePath}${call.endpoint}`,
        body: call.text,
        headers: {
          ...this.#headers,
          "content-type": "application/json",
          "x-request-id": call.requestId,
          ...(call.traceparent === undefined ? {} : { traceparent: call.traceparent }),
        },
      });
    } finally {
      this.#connectionsInUse -= 1;
    }
  }

  async #getPage(path: string, signal: AbortSignal): Promise<string> {
    const reply = await this.#exchange([200], signal, { method: "GET", path });
    return reply.text;
  }

  async #findPage(path: string, signal: AbortSignal): Promise<string | null> {
    const statuses = [200, ...LACKS_PAGE];
    const reply = await this.#exchange(statuses, signal, { method: "GET", path });
    return reply.status === 200 ? reply.text : null;
  }

  /** Exchange something short, beside the generations. */
  #exchange(
    statuses: readonly number[],
    signal: AbortSignal,
    request: Pick<Dispatcher.DispatchOptions, "method" | "path" | "body">,
  ): Promise<BodyReply> {
    const exchange = new Exchange(new BodyReader(statuses), this.#pageLimits, signal);
    return exchange.run(this.#pool, {
      ...request,
      path: `${this.#basePath}${request.path}`,
      headers: { ...this.#headers, "content-type": "application/json" },
    });
  }
}

type Post = Pick<EngineRequest, "requestId" | "traceparent"> & {
  readonly endpoint: string;
  readonly text: string;
};

/** An answer given whole. */
export type EngineReply = z.infer<typeof replySchema> & Pick<BodyReply, "times">;

const replySchema = z.looseObject({
  /** The vectors. */
  data: z.array(z.looseObject({})),
  model: z.string().nullish(),
  usage: usageSchema.nullish(),
});

const textSchema = z.object({ prompt: z.string() });

function toText(body: string): string {
  try {
    return textSchema.parse(JSON.parse(body)).prompt;
  } catch {
    throw new EngineError("engine_failed", "the engine's answer has not the shape of a text");
  }
}

function toEngineReply({ text, times }: BodyReply): EngineReply {
  try {
    return { ...replySchema.parse(JSON.parse(text)), times };
  } catch {
    throw new EngineError("engine_failed", "the engine's answer has not the shape of embeddings");
  }
}
