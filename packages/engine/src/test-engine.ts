import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

import { Engine, type EngineOptions, type EngineSink } from "./index.ts";

/** For tests: one request as the server saw it. */
export interface SeenRequest {
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
  /** Resolves when the client's connection closes. */
  readonly closed: Promise<unknown>;
}

type Answer = (response: ServerResponse, request: SeenRequest) => void;

/** For tests: an HTTP server that answers as told, and an engine that talks to it. */
export class TestEngine {
  readonly engine: Engine;
  readonly url: string;
  readonly requests: SeenRequest[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  connections = 0;

  private constructor(server: Server, url: string, options: Partial<EngineOptions>) {
    this.#server = server;
    this.url = url;
    this.engine = new Engine({ ...PATIENT, url, ...options });
  }

  static async start(answer: Answer, options: Partial<EngineOptions> = {}): Promise<TestEngine> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" ? address?.port : 0;
    const url = `http://127.0.0.1:${port}`;
    const double = new TestEngine(server, url, options);
    server.on("connection", (socket) => double.#track(socket));
    server.on("request", (request, response) => {
      void double.#see(request).then((seen) => answer(response, seen));
    });
    return double;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #track(socket: Socket): void {
    this.connections += 1;
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async #see(request: IncomingMessage): Promise<SeenRequest> {
    const { promise: closed, resolve } = Promise.withResolvers<unknown>();
    request.socket.once("close", resolve);
    const pieces: Buffer[] = await request.toArray();
    const text = Buffer.concat(pieces).toString();
    const body: unknown = text === "" ? null : JSON.parse(text);
    const seen = { url: request.url ?? "", headers: request.headers, body, closed };
    this.requests.push(seen);
    return seen;
  }
}

/** For tests: limits that no test meets by accident. */
const PATIENT = {
  maxConnections: 8,
  connectTimeoutMs: 10_000,
  firstTokenTimeoutMs: 10_000,
  silenceTimeoutMs: 10_000,
  maxOutputBytes: 1_000_000,
};

/** For tests: writes down what it hears. */
export class RecordingSink implements EngineSink {
  readonly events: unknown[] = [];
  readonly ids: number[] = [];
  promptIds: readonly number[] | null = null;
  accepted = 0;
  readonly #first = Promise.withResolvers<void>();

  /** Resolves at the first choices. */
  get firstToken(): Promise<void> {
    return this.#first.promise;
  }

  onAccepted(): void {
    this.accepted += 1;
  }

  onChoices(choices: readonly unknown[], ids: readonly number[]): void {
    this.events.push(choices);
    this.ids.push(...ids);
    this.#first.resolve();
  }

  onPromptIds(ids: readonly number[]): void {
    this.promptIds = ids;
  }
}

/** For tests: one event of a stream. */
export function event(data: unknown): string {
  return `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}

interface Chunk extends Readonly<Record<string, unknown>> {
  readonly choices: readonly unknown[];
}

/** For tests: one chat chunk as vLLM writes it. */
export function chunk(content: string, finishReason: string | null = null, index = 0): Chunk {
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1_764_000_000,
    model: "m",
    choices: [{ index, delta: { content }, logprobs: null, finish_reason: finishReason }],
  };
}

/** For tests: the last chunk, which has the counts. */
export const USAGE_CHUNK = {
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_764_000_000,
  model: "m",
  choices: [],
  usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
};

/** For tests: a whole short stream. */
export const WHOLE = [chunk("Hello"), chunk(" you", "stop"), USAGE_CHUNK, "[DONE]"]
  .map(event)
  .join("");

/** For tests: begin an event stream. */
export function startStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  response.flushHeaders();
}

/** For tests: answer with this event stream. */
export function streams(body: string | Buffer): Answer {
  return (response) => {
    startStream(response);
    response.end(body);
  };
}

/** For tests: answer with JSON. */
export function answers(
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): Answer {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}

/** For tests: a chat request. */
export const CHAT = {
  endpoint: "/v1/chat/completions",
  body: { model: "m", messages: [{ role: "user", content: "Hi" }] },
  requestId: "job_1",
} as const;
