/**
 * Measures the CPU a client spends per streamed response of 64 chunks: `Engine.stream` against the
 * ways undici offers of reading the same bytes without looking at them.
 *
 * Run: `node bench/stream-cpu.ts`. The engine is a process of its own and does not count.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { Writable } from "node:stream";
import { Agent, fetch } from "undici";

import { Engine } from "../src/index.ts";

const TOKENS = 64;
const TOKEN_INTERVAL_MS = 10;
const STREAMS = 64;
const ROUNDS = 8;
const WARM_UP_ROUNDS = 3;
const PATH = "/v1/chat/completions";
const BODY = { model: "m", messages: [{ role: "user", content: "Tell me about headraces." }] };
const HEADERS = { "content-type": "application/json", "x-request-id": "job_bench_1" };

if (process.argv[2] === "serve") serve();
else await measureAll();

function serve(): void {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => answer(response));
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    process.send?.(typeof address === "object" ? address?.port : null);
  });
}

function answer(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  let sent = 0;
  const timer = setInterval(() => {
    sent += 1;
    const reason = sent === TOKENS ? "length" : null;
    response.write(
      event([{ index: 0, delta: { content: " word" }, logprobs: null, finish_reason: reason }]),
    );
    if (sent < TOKENS) return;
    clearInterval(timer);
    response.write(
      event([], { prompt_tokens: 9, total_tokens: 9 + TOKENS, completion_tokens: TOKENS }),
    );
    response.end("data: [DONE]\n\n");
  }, TOKEN_INTERVAL_MS);
}

function event(choices: readonly unknown[], usage?: unknown): string {
  const head = {
    id: "chatcmpl-5f2c8a3e9d",
    object: "chat.completion.chunk",
    created: 1_764_000_000,
  };
  return `data: ${JSON.stringify({ ...head, model: "meta/llama-3.1-8b", choices, usage })}\n\n`;
}

async function measureAll(): Promise<void> {
  const server = fork(import.meta.filename, ["serve"]);
  const [port] = await once(server, "message");
  const origin = `http://127.0.0.1:${port}`;
  const agent = new Agent({ connections: STREAMS });
  const engine = new Engine({
    url: origin,
    maxConnections: STREAMS,
    connectTimeoutMs: 5_000,
    firstTokenTimeoutMs: 60_000,
    silenceTimeoutMs: 60_000,
    maxOutputBytes: 1_000_000,
  });
  const request = {
    origin,
    path: PATH,
    method: "POST",
    headers: HEADERS,
    body: JSON.stringify(BODY),
  };
  const ways: Record<string, () => Promise<unknown>> = {
    "fetch, bytes only": () => readFetch(`${origin}${PATH}`, agent),
    "undici request, bytes only": () => readRequest(agent, request),
    "undici stream, bytes only": () => agent.stream(request, () => discard()),
    "undici dispatch, bytes only": () => dispatch(agent, request),
    "Engine.stream, parsed and checked": () => streamEngine(engine),
  };
  for (const [name, way] of Object.entries(ways)) {
    await run(way, WARM_UP_ROUNDS);
    const cpuMs = await run(way, ROUNDS);
    process.stdout.write(`${name}: ${cpuMs.toFixed(2)} ms of CPU per response\n`);
  }
  await Promise.all([agent.close(), engine.close()]);
  server.kill();
}

async function run(way: () => Promise<unknown>, rounds: number): Promise<number> {
  const before = process.cpuUsage();
  for (let round = 0; round < rounds; round += 1) {
    await Promise.all(Array.from({ length: STREAMS }, way));
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / (rounds * STREAMS);
}

async function streamEngine(engine: Engine): Promise<void> {
  const sink = { onAccepted: (): void => {}, onChoices: (): void => {} };
  const request = { endpoint: PATH, body: BODY, requestId: "job_bench_1" } as const;
  await engine.stream(request, sink, new AbortController().signal);
}

async function readFetch(url: string, dispatcher: Agent): Promise<void> {
  const response = await fetch(url, {
    dispatcher,
    method: "POST",
    headers: HEADERS,
    body: JSON.stringify(BODY),
  });
  for await (const bytes of response.body ?? []) void bytes;
}

type Request = Agent.DispatchOptions & { method: string };

async function readRequest(agent: Agent, request: Request): Promise<void> {
  const { body } = await agent.request(request);
  for await (const bytes of body) void bytes;
}

function discard(): Writable {
  return new Writable({ write: (_bytes, _encoding, done) => done() });
}

function dispatch(agent: Agent, request: Request): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  agent.dispatch(request, {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd: () => resolve(),
    onResponseError: (_controller, error) => reject(error),
  });
  return promise;
}
