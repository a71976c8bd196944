import { describe, expect, test } from "vitest";

import { TestEngine, answers } from "./test-engine.ts";

const never = new AbortController().signal;
const EMBED = {
  endpoint: "/v1/embeddings",
  body: { model: "m", input: ["a"] },
  requestId: "job_1",
} as const;
const METRICS =
  'vllm:num_requests_running{engine="0"} 3\nvllm:num_requests_waiting{engine="0"} 1\n';

type Pages = Record<string, readonly [status: number, body: unknown]>;

async function serve(pages: Pages): Promise<TestEngine> {
  return await TestEngine.start((response, request) => {
    const [status, body] = pages[request.url] ?? [404, { detail: "Not Found" }];
    answers(status, body)(response, request);
  });
}

const VLLM: Pages = {
  "/v1/models": [
    200,
    {
      object: "list",
      data: [
        { id: "m", owned_by: "vllm", max_model_len: 8_192 },
        { id: "lora", owned_by: "vllm", parent: "m" },
      ],
    },
  ],
  "/version": [200, { version: "0.32.0" }],
  "/metrics": [200, METRICS],
};

describe("a probe", () => {
  test("knows vLLM, its models with their adapters, and what it can do", async () => {
    await using server = await serve(VLLM);

    expect(await server.engine.probe(never)).toEqual({
      kind: "vllm",
      version: "0.32.0",
      models: [
        { id: "m", maxModelLength: 8_192 },
        { id: "lora", maxModelLength: 8_192 },
      ],
      hasMetrics: true,
      hasTokenIds: true,
    });
  });

  test("takes a server with nothing but models for what it is", async () => {
    await using server = await serve({
      "/v1/models": [200, { data: [{ id: "gpt-oss:20b", owned_by: "library" }] }],
      "/version": [200, { error: "Unexpected endpoint or method. (GET /version)" }],
      "/metrics": [501, { error: { message: "This server does not support metrics endpoint." } }],
    });

    expect(await server.engine.probe(never)).toEqual({
      kind: "openai-compatible",
      version: null,
      models: [{ id: "gpt-oss:20b", maxModelLength: null }],
      hasMetrics: false,
      hasTokenIds: false,
    });
  });

  test.for([
    ["0.10.1.1", false],
    ["0.10.2", true],
    ["0.11.0rc2.dev34+gabc", true],
    ["1.0.0", true],
    ["0.1.dev1+g1234567", false],
    ["nightly", false],
  ] as const)(
    "tells from version %s whether token ids are returned: %s",
    async ([version, hasTokenIds]) => {
      await using server = await serve({ ...VLLM, "/version": [200, { version }] });

      expect(await server.engine.probe(never)).toMatchObject({ hasTokenIds });
    },
  );

  test("fails on a server that lists no models", async () => {
    await using server = await serve({ "/v1/models": [200, "<html>hello</html>"] });

    await expect(server.engine.probe(never)).rejects.toMatchObject({ code: "engine_failed" });
  });

  test.for(["/", "/v1", "/v1/"])("drops %s from the end of the address", async (end) => {
    await using server = await TestEngine.start(answers(200, ""));
    await using same = await TestEngine.start(answers(200, METRICS), {
      url: `${server.url}${end}`,
    });

    await same.engine.load(never);

    expect(server.requests.map(({ url }) => url)).toEqual(["/metrics"]);
  });
});

describe("load", () => {
  test("is read from the metrics page, even while all connections are in use", async () => {
    const seen = Promise.withResolvers<void>();
    await using server = await TestEngine.start(
      (response, request) => {
        if (request.url === "/metrics") answers(200, METRICS)(response, request);
        else seen.resolve();
      },
      { maxConnections: 1 },
    );
    const controller = new AbortController();
    const calling = server.engine.call(EMBED, controller.signal);
    await seen.promise;

    expect(await server.engine.load(never)).toEqual({ running: 3, waiting: 1, kvCacheUsage: 0 });
    controller.abort();
    await expect(calling).rejects.toMatchObject({ name: "AbortError" });
  });

  test("is null at a server without vLLM's gauges", async () => {
    await using server = await serve({});

    expect(await server.engine.load(never)).toBeNull();
  });

  test("fails when the server does", async () => {
    await using server = await serve({ "/metrics": [500, "boom"] });

    await expect(server.engine.load(never)).rejects.toMatchObject({ code: "engine_failed" });
  });
});

describe("a call", () => {
  const vectors = {
    object: "list",
    model: "m",
    data: [{ index: 0, embedding: [0.5] }],
    usage: { prompt_tokens: 1, total_tokens: 1 },
  };

  test("sends the body as it is and returns the whole answer, with its times", async () => {
    await using server = await serve({ "/v1/embeddings": [200, vectors] });

    const { times, ...reply } = await server.engine.call(EMBED, never);

    expect(reply).toEqual(vectors);
    expect(server.requests[0]).toMatchObject({
      body: EMBED.body,
      headers: { "x-request-id": "job_1" },
    });
    const instants = [times.requestSentAt, times.headersAt, times.endedAt];
    expect(instants).toEqual(instants.toSorted((a, b) => a - b));
  });

  test.for([
    ["no JSON", "<html>"],
    ["no vectors", { model: "m" }],
    ["counts that are no numbers", { ...vectors, usage: { prompt_tokens: "1" } }],
  ] as const)("fails on an answer with %s", async ([, body]) => {
    await using server = await serve({ "/v1/embeddings": [200, body] });

    await expect(server.engine.call(EMBED, never)).rejects.toMatchObject({ code: "engine_failed" });
  });

  test("ends with the caller's abort, and its connection with it", async () => {
    const seen = Promise.withResolvers<void>();
    await using server = await TestEngine.start((response) => {
      response.writeHead(200);
      response.write("{", () => seen.resolve());
    });
    const controller = new AbortController();
    const calling = server.engine.call(EMBED, controller.signal);
    await seen.promise;

    controller.abort();

    await expect(calling).rejects.toMatchObject({ name: "AbortError" });
    await server.requests[0]?.closed;
  });
});
