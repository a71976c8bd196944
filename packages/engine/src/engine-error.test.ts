import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { describe, expect, test } from "vitest";

import { Engine, type EngineOptions } from "./index.ts";
import {
  CHAT,
  RecordingSink,
  TestEngine,
  USAGE_CHUNK,
  WHOLE,
  answers,
  chunk,
  event,
  startStream,
  streams,
} from "./test-engine.ts";

const never = new AbortController().signal;
const secret = "the prompt's own words";
const words = {
  message: `bad: ${secret}`,
  type: "BadRequestError",
  param: "temperature",
  code: 400,
};

async function failure(server: TestEngine): Promise<unknown> {
  return await server.engine.stream(CHAT, new RecordingSink(), never).then(
    () => null,
    (error: unknown) => error,
  );
}

describe("an engine's refusal", () => {
  test.for([
    [400, "engine_rejected"],
    [404, "engine_rejected"],
    [422, "engine_rejected"],
    [401, "engine_failed"],
    [403, "engine_failed"],
    [429, "engine_full"],
    [503, "engine_full"],
    [500, "engine_failed"],
    [502, "engine_failed"],
    [302, "engine_failed"],
    [204, "engine_failed"],
  ] as const)("with %i is %s, and the log may say only that", async ([status, code]) => {
    await using server = await TestEngine.start(answers(status, { error: words }));

    const error = await failure(server);

    expect(error).toMatchObject({ code, logMessage: expect.stringContaining(String(status)) });
    expect(error).toMatchObject({ logMessage: expect.not.stringContaining(secret) });
  });

  test.for([
    ["OpenAI's", { error: words }],
    ["old vLLM's", { object: "error", ...words }],
  ] as const)(
    "in %s shape gives the owner the engine's words and the field at fault",
    async ([, body]) => {
      await using server = await TestEngine.start(answers(400, body));

      expect(await failure(server)).toMatchObject({ message: words.message, param: "temperature" });
    },
  );

  test.for([
    ["FastAPI's", { detail: [{ loc: ["body", "n"] }] }, '[{"loc":["body","n"]}]'],
    ["a text's", "no such thing", "no such thing"],
    ["no", "", "the engine answered 400"],
    ["an over-long", { error: { message: "x".repeat(10_000) } }, "x".repeat(1_000)],
  ] as const)("in %s shape is still told", async ([, body, message]) => {
    await using server = await TestEngine.start(answers(400, body));

    expect(await failure(server)).toMatchObject({ code: "engine_rejected", message });
  });

  test.for([
    ["7", 7_000],
    ["0.5", 500],
    ["Wed, 21 Oct 2015 07:28:00 GMT", 0],
    ["soon", null],
  ] as const)("carries retry-after: %s", async ([header, retryAfterMs]) => {
    await using server = await TestEngine.start(answers(503, "", { "retry-after": header }));

    expect(await failure(server)).toMatchObject({ code: "engine_full", retryAfterMs });
  });

  test("with a body that does not end is cut short", async () => {
    await using server = await TestEngine.start((response) => {
      response.writeHead(400);
      response.write("x".repeat(100_000));
    });

    expect(await failure(server)).toMatchObject({ code: "engine_rejected" });
    await server.requests[0]?.closed;
  });
});

describe("inside a stream", () => {
  test.for([
    ["an error without a code", { error: { message: secret } }, "engine_failed"],
    ["an error with a 4xx code", { error: words }, "engine_rejected"],
    ["an error with its code in a string", { error: { ...words, code: "400" } }, "engine_rejected"],
    ["an error with 503", { error: { ...words, code: 503 } }, "engine_full"],
    ["an error with a word for a code", { error: { ...words, code: "oops" } }, "engine_failed"],
    ["an error in another shape", { error: { reason: secret } }, "engine_failed"],
    ["an error that is a text", { error: secret }, "engine_failed"],
    ["garbage", `{"choices": ${secret}`, "engine_failed"],
    ["JSON that is no object", `["${secret}"]`, "engine_failed"],
    ["no choices", { id: secret }, "engine_failed"],
    ["choices without an index", { choices: [{ text: secret }] }, "engine_failed"],
    ["a negative index", { choices: [{ index: -1 }] }, "engine_failed"],
    [
      "a finish reason that is no text",
      { choices: [{ index: 0, finish_reason: 1 }] },
      "engine_failed",
    ],
    ["a delta that is no object", { choices: [{ index: 0, delta: secret }] }, "engine_failed"],
    ["a text that is no text", { choices: [{ index: 0, text: [secret] }] }, "engine_failed"],
    ["an event of over a mebibyte", chunk("x".repeat(1_048_576)), "engine_failed"],
  ] as const)("%s fails the generation without a word for the log", async ([, data, code]) => {
    await using server = await TestEngine.start(streams(event(chunk("a")) + event(data)), {
      maxOutputBytes: 1e7,
    });

    const error = await failure(server);

    expect(error).toMatchObject({ code, logMessage: expect.not.stringContaining(secret) });
    expect(error).not.toHaveProperty("cause");
  });

  test("counts in another shape fail the generation", async () => {
    const body = [chunk("a", "stop"), { ...USAGE_CHUNK, usage: { prompt_tokens: "5" } }, "[DONE]"]
      .map(event)
      .join("");
    await using server = await TestEngine.start(streams(body));

    expect(await failure(server)).toMatchObject({ code: "engine_failed" });
  });

  test("bytes that are not UTF-8 fail the generation", async () => {
    const body = Buffer.concat([
      Buffer.from('data: {"id":"'),
      Buffer.of(0xff),
      Buffer.from('"}\n\n'),
    ]);
    await using server = await TestEngine.start(streams(body));

    expect(await failure(server)).toMatchObject({ code: "engine_failed" });
  });

  test("more bytes than allowed end the generation and the connection", async () => {
    await using server = await TestEngine.start(
      (response) => {
        startStream(response);
        response.write(event(chunk("x".repeat(2_000))));
      },
      { maxOutputBytes: 1_000 },
    );

    expect(await failure(server)).toMatchObject({ code: "output_too_large" });
    await server.requests[0]?.closed;
  });
});

test("an answer that is no stream fails, in the engine's words for its owner", async () => {
  await using server = await TestEngine.start(answers(200, { error: { message: secret } }));

  expect(await failure(server)).toMatchObject({
    code: "engine_failed",
    message: `the engine answered 200 with application/json: ${secret}`,
    logMessage: "the engine answered 200 with application/json",
  });
});

describe("each phase has its budget", () => {
  test.for<[string, Partial<EngineOptions>, string, string]>([
    [
      "no answer",
      { firstTokenTimeoutMs: 60 },
      "",
      "no output from the engine within 60 ms of the request (it has not answered at all)",
    ],
    [
      "no first token",
      { firstTokenTimeoutMs: 60 },
      ": ping\n\n",
      "no output from the engine within 60 ms of the request (it accepted the request)",
    ],
    ["silence", { silenceTimeoutMs: 60 }, event(chunk("a")), "the engine went silent for 60 ms"],
    [
      "keep-alives and nothing else",
      { silenceTimeoutMs: 60 },
      `${event(chunk("a"))}: ping\n\n`,
      "the engine went silent for 60 ms",
    ],
  ])("%s", async ([, options, body, message]) => {
    await using server = await TestEngine.start((response) => {
      if (body === "") return;
      startStream(response);
      response.write(body);
    }, options);

    expect(await failure(server)).toMatchObject({ code: "engine_timeout", message, wasSent: true });
    await server.requests[0]?.closed;
  });

  test("a connection that is never established", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const deaf = new Engine({ ...engineOptions(0), url: `https://127.0.0.1:${portOf(server)}` });

    const streaming = deaf.stream(CHAT, new RecordingSink(), never);

    await expect(streaming).rejects.toMatchObject({
      code: "engine_timeout",
      message: "no connection to the engine within 80 ms",
      wasSent: false,
    });
    await deaf.close();
    server.close();
  });

  test("and tokens that keep coming are given all the time they take", async () => {
    await using server = await TestEngine.start(
      (response) => {
        startStream(response);
        let sent = 0;
        const timer = setInterval(() => {
          sent += 1;
          response.write(event(chunk("a", sent === 10 ? "stop" : null)));
          if (sent < 10) return;
          clearInterval(timer);
          response.end(event("[DONE]"));
        }, 20);
      },
      { firstTokenTimeoutMs: 150, silenceTimeoutMs: 150 },
    );

    expect(await failure(server)).toBeNull();
  });
});

describe("a connection", () => {
  test("that is refused is engine_unavailable", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const engine = engineAt(portOf(server));
    server.close();
    await once(server, "close");

    const streaming = engine.stream(CHAT, new RecordingSink(), never);

    await expect(streaming).rejects.toMatchObject({
      code: "engine_unavailable",
      message: expect.stringContaining("ECONNREFUSED"),
      wasSent: false,
    });
    await engine.close();
  });

  test("that is still being made does not hold up an abort", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const patient = { ...engineOptions(0), connectTimeoutMs: 10_000 };
    const deaf = new Engine({ ...patient, url: `https://127.0.0.1:${portOf(server)}` });
    const controller = new AbortController();
    const streaming = deaf.stream(CHAT, new RecordingSink(), controller.signal);
    await once(server, "connection");

    controller.abort();

    await expect(streaming).rejects.toMatchObject({ name: "AbortError" });
    await deaf.close();
    server.close();
  });

  test("to a name that does not exist is engine_unavailable", async () => {
    const engine = new Engine({
      ...engineOptions(0),
      url: "http://engine.invalid:8000",
      connectTimeoutMs: 5_000,
    });

    await expect(engine.stream(CHAT, new RecordingSink(), never)).rejects.toMatchObject({
      code: "engine_unavailable",
    });
    await engine.close();
  });

  test("to something that speaks no HTTP is engine_failed, without its bytes", async () => {
    const server = createServer((socket) => socket.end(`${secret}\r\n\r\n`)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const engine = engineAt(portOf(server));

    const error = await engine
      .stream(CHAT, new RecordingSink(), never)
      .catch((caught: unknown) => caught);

    expect(error).toMatchObject({
      code: "engine_failed",
      message: expect.stringContaining("does not speak HTTP"),
    });
    expect(error).not.toHaveProperty("cause");
    await engine.close();
    server.close();
  });

  test("more than allowed is refused at once, and free again after", async () => {
    const responses: (() => void)[] = [];
    const seen = Promise.withResolvers<void>();
    await using server = await TestEngine.start(
      (response) => {
        responses.push(() =>
          streams(WHOLE)(response, { url: "", headers: {}, body: null, closed: Promise.resolve() }),
        );
        if (responses.length === 2) seen.resolve();
      },
      { maxConnections: 2 },
    );
    const running = [1, 2].map(() => server.engine.stream(CHAT, new RecordingSink(), never));
    await seen.promise;

    expect(await failure(server)).toMatchObject({
      code: "engine_full",
      message: "all 2 connections to the engine are in use",
      wasSent: false,
    });
    for (const respond of responses) respond();
    await Promise.all(running);
    const next = server.engine.stream(CHAT, new RecordingSink(), never);
    await expect.poll(() => responses.length).toBe(3);
    responses[2]?.();
    await next;
  });

  test("that is closed by us fails what runs on it", async () => {
    await using server = await TestEngine.start((response) => {
      startStream(response);
      response.write(event(chunk("a")));
    });
    const sink = new RecordingSink();
    const streaming = server.engine.stream(CHAT, sink, never);
    await sink.firstToken;

    const [[result]] = await Promise.all([Promise.allSettled([streaming]), server.engine.close()]);

    expect(result).toMatchObject({ reason: { code: "engine_unavailable" } });
  });
});

function engineOptions(port: number): EngineOptions {
  return {
    url: `http://127.0.0.1:${port}`,
    maxConnections: 4,
    connectTimeoutMs: 80,
    firstTokenTimeoutMs: 5_000,
    silenceTimeoutMs: 5_000,
    maxOutputBytes: 1_000_000,
  };
}

function engineAt(port: number): Engine {
  return new Engine(engineOptions(port));
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}
