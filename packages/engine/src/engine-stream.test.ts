import * as fc from "fast-check";
import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";

import { EngineError } from "./index.ts";
import {
  CHAT,
  RecordingSink,
  TestEngine,
  USAGE_CHUNK,
  WHOLE,
  chunk,
  event,
  startStream,
  streams,
} from "./test-engine.ts";

const never = new AbortController().signal;
const SCRIPT = Buffer.from(WHOLE.replace("Hello", "Hé€😀"));
let pieces: Buffer[] = [];

function serveScript(response: ServerResponse): void {
  startStream(response);
  for (const piece of pieces) response.write(piece);
  response.end();
}

describe("a streamed generation", () => {
  test("gives the sink each event's choices as the engine sent them", async () => {
    const rich = {
      ...chunk("x"),
      choices: [
        {
          index: 0,
          delta: { reasoning: "hm", tool_calls: [{ index: 0, function: { arguments: "{" } }] },
        },
        {
          index: 0,
          delta: { content: "x" },
          logprobs: { content: [{ token: "x", logprob: -1 }] },
          token_ids: [7],
        },
      ],
    };
    await using server = await TestEngine.start(streams(event(rich) + WHOLE));
    const sink = new RecordingSink();

    await server.engine.stream(CHAT, sink, never);

    expect(sink.events).toEqual([
      rich.choices,
      chunk("Hello").choices,
      chunk(" you", "stop").choices,
    ]);
    expect(sink.accepted).toBe(1);
  });

  test("returns what the engine said besides, and when", async () => {
    const metrics = {
      time_to_first_token_ms: 12.5,
      queue_time_ms: 1,
      generation_time_ms: 40,
      mean_itl_ms: 3,
      tokens_per_second: 50,
    };
    const body = [
      { ...chunk("Hi", "stop"), system_fingerprint: "fp" },
      { ...USAGE_CHUNK, metrics },
      "[DONE]",
    ]
      .map(event)
      .join("");
    await using server = await TestEngine.start(streams(body));
    const startedAt = performance.now();

    const { times, ...outcome } = await server.engine.stream(CHAT, new RecordingSink(), never);

    expect(outcome).toEqual({
      id: "chatcmpl-1",
      model: "m",
      created: 1_764_000_000,
      systemFingerprint: "fp",
      usage: USAGE_CHUNK.usage,
      metrics,
      finishReasons: ["stop"],
      chunks: 1,
    });
    const { requestSentAt, headersAt, firstTokenAt, lastTokenAt } = times;
    const instants = [
      startedAt,
      requestSentAt,
      headersAt,
      firstTokenAt,
      lastTokenAt,
      performance.now(),
    ];
    expect(instants).toEqual(instants.toSorted((a, b) => a - b));
  });

  test("asks for a stream with counts and leaves the rest of the request alone", async () => {
    await using server = await TestEngine.start(streams(WHOLE), { apiKey: "secret" });
    const body = {
      ...CHAT.body,
      stream: false,
      stream_options: { chunk_size: 4 },
      unknown_field: { a: [1] },
    };

    await server.engine.stream(
      { ...CHAT, body, traceparent: "00-1-2-01" },
      new RecordingSink(),
      never,
    );

    expect(server.requests[0]?.body).toEqual({
      ...body,
      stream: true,
      stream_options: { chunk_size: 4, include_usage: true },
    });
    expect(server.requests[0]?.url).toBe("/v1/chat/completions");
    expect(server.requests[0]?.headers).toMatchObject({
      "x-request-id": "job_1",
      "content-type": "application/json",
      traceparent: "00-1-2-01",
      authorization: "Bearer secret",
    });
  });

  test("uses connections again", async () => {
    await using server = await TestEngine.start(streams(WHOLE));

    for (let round = 0; round < 20; round += 1)
      await server.engine.stream(CHAT, new RecordingSink(), never);

    expect(server.connections).toBeLessThanOrEqual(2);
  });

  test("is whole at [DONE], whatever becomes of the connection", async () => {
    await using server = await TestEngine.start((response) => {
      startStream(response);
      response.write(WHOLE, () => response.socket?.destroy());
    });

    const outcome = await server.engine.stream(CHAT, new RecordingSink(), never);

    expect(outcome.finishReasons).toEqual(["stop"]);
  });

  test("is whole at [DONE] without the final newline", async () => {
    await using server = await TestEngine.start(streams(WHOLE.trimEnd()));

    const outcome = await server.engine.stream(CHAT, new RecordingSink(), never);

    expect(outcome.finishReasons).toEqual(["stop"]);
  });

  test("has as many choices as prompts times n", async () => {
    const texts = [0, 1, 2, 3].map((index) => ({
      ...USAGE_CHUNK,
      choices: [{ index, text: "x", finish_reason: "length" }],
    }));
    await using server = await TestEngine.start(streams([...texts, "[DONE]"].map(event).join("")));
    const completion = { endpoint: "/v1/completions", requestId: "job_1" } as const;

    const stream = (prompt: unknown, n: number): Promise<unknown> =>
      server.engine.stream(
        { ...completion, body: { model: "m", prompt, n } },
        new RecordingSink(),
        never,
      );

    await expect(stream(["a", "b"], 2)).resolves.toMatchObject({
      finishReasons: Array(4).fill("length"),
    });
    await expect(stream([[1], [2]], 2)).resolves.toMatchObject({ chunks: 4 });
    await expect(stream([1, 2, 3], 4)).resolves.toMatchObject({ chunks: 4 });
    await expect(stream(["a", "b", "c"], 2)).rejects.toMatchObject({ code: "engine_unavailable" });
  });
});

describe("truncated text never passes for finished", () => {
  const wholeChunks = [chunk("a"), chunk("b", "stop")];

  test.for([
    [
      "the stream ends without [DONE]",
      event(wholeChunks[0]) + event(wholeChunks[1]),
      "the stream was cut after 2 chunks",
    ],
    [
      "[DONE] comes before a finish reason",
      event(chunk("a")) + event("[DONE]"),
      "choice 0 of 1 has no finish reason after 1 chunks",
    ],
    ["[DONE] comes first", event("[DONE]"), "choice 0 of 1 has no finish reason after 0 chunks"],
    [
      "one of two choices does not finish",
      event(chunk("a", "stop", 1)) + event(chunk("b")) + event("[DONE]"),
      "choice 0 of 2 has no finish reason after 2 chunks",
    ],
    [
      "a choice too many does not finish",
      event(chunk("a", "stop")) + event(chunk("b", null, 1)) + event("[DONE]"),
      "choice 1 of 2 has no finish reason after 2 chunks",
    ],
    [
      "the engine aborts and says [DONE]",
      event(chunk("a")) + event(chunk("", "abort")) + event("[DONE]"),
      'the engine broke off ("abort") after 1 chunks',
    ],
    ["the answer is empty", "", "the stream was cut after 0 chunks"],
  ] as const)("when %s", async ([, body, message]) => {
    await using server = await TestEngine.start(streams(body));

    const streaming = server.engine.stream(CHAT, new RecordingSink(), never);

    await expect(streaming).rejects.toMatchObject({ code: "engine_unavailable", message });
  });

  test("when the connection breaks", async () => {
    await using server = await TestEngine.start((response) => {
      startStream(response);
      response.write(event(chunk("a", "stop")), () => response.socket?.resetAndDestroy());
    });

    const streaming = server.engine.stream(CHAT, new RecordingSink(), never);

    await expect(streaming).rejects.toMatchObject({ code: "engine_unavailable" });
  });

  test("however its bytes are mangled", async () => {
    await using server = await TestEngine.start(serveScript);
    const at = fc.nat({ max: SCRIPT.length - 1 });
    const mangled = fc.oneof(
      at.map((end) => SCRIPT.subarray(0, end)),
      fc
        .tuple(at, fc.nat({ max: 255 }))
        .map(([point, byte]) => Buffer.from(SCRIPT).fill(byte, point, point + 1)),
      fc
        .tuple(at, at)
        .map(([from, to]) => Buffer.concat([SCRIPT.subarray(0, from), SCRIPT.subarray(to)])),
    );
    await fc.assert(
      fc.asyncProperty(mangled, at, async (bytes, point) => {
        pieces = [bytes.subarray(0, point), bytes.subarray(point)];

        const [result] = await Promise.allSettled([
          server.engine.stream(CHAT, new RecordingSink(), never),
        ]);

        const isWhole = /"finish_reason":"[^"].*data: \[DONE\]/s.test(bytes.toString());
        const isError = result.status === "rejected" && result.reason instanceof EngineError;
        expect(isError || (isWhole && result.status === "fulfilled")).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

test("a whole stream gives the same events however its bytes are cut", async () => {
  await using server = await TestEngine.start(serveScript);
  const at = fc.nat({ max: SCRIPT.length });
  await fc.assert(
    fc.asyncProperty(at, at, async (one, other) => {
      const [from, to] = one < other ? [one, other] : [other, one];
      pieces = [SCRIPT.subarray(0, from), SCRIPT.subarray(from, to), SCRIPT.subarray(to)];
      const sink = new RecordingSink();

      await server.engine.stream(CHAT, sink, never);

      expect(sink.events).toEqual([chunk("Hé€😀").choices, chunk(" you", "stop").choices]);
    }),
    { numRuns: 100 },
  );
});

describe("a caller's abort", () => {
  test("closes the connection at once and rejects with its reason", async () => {
    await using server = await TestEngine.start((response) => {
      startStream(response);
      response.write(event(chunk("a")));
    });
    const sink = new RecordingSink();
    const controller = new AbortController();
    const streaming = server.engine.stream(CHAT, sink, controller.signal);
    await sink.firstToken;

    const reason = new Error("cancelled by its owner");
    controller.abort(reason);

    await expect(streaming).rejects.toBe(reason);
    await server.requests[0]?.closed;
  });

  test("before the answer closes the connection too", async () => {
    const seen = Promise.withResolvers<void>();
    await using server = await TestEngine.start(() => seen.resolve());
    const controller = new AbortController();
    const streaming = server.engine.stream(CHAT, new RecordingSink(), controller.signal);
    await seen.promise;

    controller.abort();

    await expect(streaming).rejects.toMatchObject({ name: "AbortError" });
    await server.requests[0]?.closed;
  });

  test("before the start sends nothing", async () => {
    await using server = await TestEngine.start(streams(WHOLE));

    const streaming = server.engine.stream(CHAT, new RecordingSink(), AbortSignal.abort());

    await expect(streaming).rejects.toMatchObject({ name: "AbortError" });
    expect(server.connections).toBe(0);
  });

  test("leaves the engine good for the next generation", async () => {
    let isStalled = true;
    await using server = await TestEngine.start(
      (response) => {
        startStream(response);
        if (isStalled) response.write(event(chunk("a")));
        else response.end(WHOLE);
      },
      { maxConnections: 1 },
    );
    const sink = new RecordingSink();
    const controller = new AbortController();
    const streaming = server.engine.stream(CHAT, sink, controller.signal);
    await sink.firstToken;
    controller.abort();
    await expect(streaming).rejects.toMatchObject({ name: "AbortError" });
    isStalled = false;

    await expect(server.engine.stream(CHAT, new RecordingSink(), never)).resolves.toMatchObject({
      chunks: 2,
    });
  });
});

test("a sink that throws ends the generation with what it threw", async () => {
  await using server = await TestEngine.start((response) => {
    startStream(response);
    response.write(event(chunk("a")));
  });
  const bug = new Error("stale epoch");
  const sink = {
    onAccepted: (): void => {},
    onChoices: (): void => {
      throw bug;
    },
  };

  await expect(server.engine.stream(CHAT, sink, never)).rejects.toBe(bug);
  await server.requests[0]?.closed;
});
