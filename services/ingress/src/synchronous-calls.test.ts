import { connect } from "node:net";

import { writeTokenIds } from "@headrace/broker";
import { describe, expect } from "vitest";

import { readMetric } from "./testing/exposition.ts";
import { hangUpDuring } from "./testing/hang-up.ts";
import { API_KEY, ingressTest as test } from "./testing/ingress-test.ts";
import { MODEL, USAGE } from "./testing/simulated-worker.ts";

const chat = { model: MODEL, messages: [{ role: "user", content: "Say something." }] };
const streamed = { ...chat, stream: true };
const boom = { message: "boom", type: "server_error", param: null, code: "engine_failed" };

describe("a call that is not streamed", () => {
  test("answers as the engine would have", async ({ client, worker }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: chat });
    const run = await worker.next();
    run.write({
      type: "delta",
      data: '[{"index":0,"delta":{"role":"assistant","content":""}},{"index":1,"delta":{"content":"B"}}]',
    });
    run.say("Hello");
    run.write({ type: "delta", data: '[{"index":0,"delta":{},"finish_reason":"stop"}]' });
    await run.complete();
    const { status, headers, body } = await answer;

    expect(status).toBe(200);
    expect(headers.get("x-headrace-job-id")).toBe(run.attempt.job);
    expect(run.attempt.spec).toMatchObject({ priority: "interactive", on_retry: "continue" });
    expect(body).toEqual({
      id: `chatcmpl-${run.attempt.job}`,
      object: "chat.completion",
      created: expect.any(Number),
      model: MODEL,
      choices: [
        { index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" },
        { index: 1, message: { role: "assistant", content: "B" } },
      ],
      usage: USAGE,
    });
  });

  test("completes texts and embeds them", async ({ client, worker }) => {
    const completion = client.call("POST", "/v1/completions", {
      body: { model: MODEL, prompt: "a" },
    });
    const first = await worker.next();
    first.write({ type: "delta", data: '[{"index":0,"text":"b"}]' });
    await first.complete();
    const embeddings = client.call("POST", "/v1/embeddings", {
      body: { model: MODEL, input: "a" },
    });
    const second = await worker.next();
    second.write({ type: "vectors", data: '[{"object":"embedding","index":0,"embedding":[1]}]' });
    await second.complete();

    expect((await completion).body).toMatchObject({
      id: `cmpl-${first.attempt.job}`,
      object: "text_completion",
      choices: [{ index: 0, text: "b" }],
    });
    expect((await embeddings).body).toMatchObject({
      object: "list",
      data: [{ embedding: [1] }],
      usage: USAGE,
    });
  });

  test("answers with the output of all attempts that went on", async ({ client, worker }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: chat });
    const first = await worker.next();
    first.say("Hello", writeTokenIds([1], { prompt: [7] }));
    await first.release();
    const second = await worker.next();
    second.say(" world", writeTokenIds([2], { position: 1 }));
    await second.complete();

    expect((await answer).body).toMatchObject({
      choices: [{ message: { content: "Hello world" } }],
    });
  });

  test("answers with what Redis kept, not with what it lost", async ({ client, worker, redis }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: chat });
    const run = await worker.next();
    const { job } = run.attempt;
    run.say("lost");
    const reader = await client.stream("GET", `/v1/jobs/${job}/events?starting_after=1-0`);
    await reader.next();
    reader.hangUp();
    await redis.del(...(await redis.keys(`*:log:${job}`)));
    // So that the ingress hears of the rest by reading the log alone.
    for (const entry of await redis.keys(`*:job:${job}`)) await redis.hdel(entry, "watchers");
    run.say("kept");
    await run.complete();

    expect((await answer).body).toMatchObject({ choices: [{ message: { content: "kept" } }] });
  });

  test("answers that it may be repeated when Redis lost the whole job", async ({
    client,
    worker,
    redis,
  }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: chat });
    const run = await worker.next();
    run.say("Hello");
    await redis.del(...(await redis.keys(`*${run.attempt.job}*`)));

    const { status, body, headers } = await answer;
    expect([status, body["error"]]).toMatchObject([503, { code: "queue_unavailable" }]);
    expect(headers.get("retry-after")).toBe("1");
    expect(headers.get("x-should-retry")).toBeNull();
  });

  test("answers with the last attempt's output only", async ({ client, worker }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: chat });
    const first = await worker.next();
    first.say("void");
    await first.release();
    const second = await worker.next();
    second.say("valid");
    await second.complete();

    expect((await answer).body).toMatchObject({ choices: [{ message: { content: "valid" } }] });
  });

  test.for([
    { error: boom, status: 502 },
    { error: { ...boom, code: "engine_rejected", param: "seed" }, status: 400 },
  ])(
    "answers $status when the job failed: $error.code",
    async ({ error, status }, { client, worker, ingress }) => {
      const answer = client.call("POST", "/v1/chat/completions", { body: chat });
      const run = await worker.next();
      await run.fail(error);
      const { headers, body, status: found } = await answer;

      expect(found).toBe(status);
      expect(headers.get("x-should-retry")).toBe("false");
      expect(body).toEqual({ error });
      await expect(readMetric(ingress, `llm_errors_total{code="${error.code}"}`)).resolves.toBe(1);
    },
  );

  test("answers 502 when the job was cancelled", async ({ client, worker }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: chat });
    const run = await worker.next();
    await client.call("POST", `/v1/jobs/${run.attempt.job}/cancel`);

    expect(await answer).toMatchObject({ status: 502, body: { error: { code: "job_cancelled" } } });
  });

  test("answers 504 when no worker began in time", { timeout: 15_000 }, async ({ client }) => {
    const headers = { "x-headrace-deadline-seconds": "1.5", "x-headrace-priority": "batch" };
    const answer = await client.call("POST", "/v1/chat/completions", { body: chat, headers });

    expect(answer.status).toBe(504);
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(answer.body).toMatchObject({ error: { code: "deadline_exceeded" } });
  });
});

describe("a streamed call", () => {
  test("is OpenAI's stream", async ({ client, worker, ingress }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    run.say("Hello");
    const reader = await answer;
    const first = await reader.next();
    run.say(" world");
    await run.complete();
    const rest = await reader.rest();
    const head = {
      id: `chatcmpl-${run.attempt.job}`,
      object: "chat.completion.chunk",
      created: expect.any(Number),
      model: MODEL,
    };

    expect(run.attempt).toMatchObject({ isFragile: true, spec: { on_retry: "continue" } });
    expect(reader.response.headers.get("x-headrace-job-id")).toBe(run.attempt.job);
    expect(first).toMatchObject({ id: null, event: null });
    expect(JSON.parse(first?.data ?? "")).toEqual({
      ...head,
      choices: [{ index: 0, delta: { content: "Hello" } }],
    });
    expect(JSON.parse(rest[0]?.data ?? "")).toMatchObject({
      choices: [{ delta: { content: " world" } }],
    });
    expect(rest.map(({ data }) => data).slice(1)).toEqual(["[DONE]"]);
    await expect(readMetric(ingress, "llm_ttft_seconds_count")).resolves.toBe(1);
    await expect(readMetric(ingress, "llm_inference_duration_seconds_count")).resolves.toBe(1);
  });

  test("counts tokens at the end when asked to", async ({ client, worker }) => {
    const body = {
      model: MODEL,
      prompt: "a",
      stream: true,
      stream_options: { include_usage: true },
    };
    const answer = client.stream("POST", "/v1/completions", { body });
    const run = await worker.next();
    run.write({ type: "delta", data: '[{"index":0,"text":"b"}]' });
    await run.complete();
    const chunks = (await (await answer).rest()).map(({ data }) => data);

    expect(chunks).toHaveLength(3);
    expect(JSON.parse(chunks[0] ?? "")).toMatchObject({ object: "text_completion" });
    expect(JSON.parse(chunks[1] ?? "")).toMatchObject({ choices: [], usage: USAGE });
    expect(chunks[2]).toBe("[DONE]");
  });

  test("keeps the order of what comes at once", async ({ client, worker }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    for (const text of ["a", "b", "c"]) run.say(text);
    await run.complete();
    const chunks = (await (await answer).rest()).map(({ data }) => data);

    expect(chunks.map((data) => /"content":"(.)"/.exec(data)?.[1] ?? data)).toEqual([
      "a",
      "b",
      "c",
      "[DONE]",
    ]);
  });

  test("answers an HTTP error when the job fails before any output", async ({ client, worker }) => {
    const answer = client.call("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    await run.fail(boom);

    expect(await answer).toMatchObject({ status: 502, body: { error: boom } });
  });

  test("retries silently before any output", async ({ client, worker }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const first = await worker.next();
    await first.release();
    const second = await worker.next();
    second.say("Hello");
    await second.complete();
    const chunks = await (await answer).rest();

    expect(chunks.map(({ data }) => data.includes("Hello"))).toEqual([true, false]);
  });

  test("ends with an error chunk, and no [DONE], once output is out", async ({
    client,
    worker,
  }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    run.say("Hello");
    const reader = await answer;
    await reader.next();
    await run.fail(boom);
    const chunks = (await reader.rest()).map(({ data }) => JSON.parse(data));

    expect(chunks).toEqual([{ error: boom }]);
  });

  test("ends with an error chunk rather than start over, and stops the job", async ({
    client,
    worker,
  }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const first = await worker.next();
    first.say("Hello");
    const reader = await answer;
    await reader.next();
    await first.release();
    const waiting = worker.next();
    const chunks = (await reader.rest()).map(({ data }) => JSON.parse(data));
    const next = client.call("POST", "/v1/chat/completions", { body: chat });

    expect(chunks).toEqual([{ error: expect.objectContaining({ code: "output_interrupted" }) }]);
    // No worker was given the job again: the next has another one.
    expect((await waiting).attempt.job).not.toBe(first.attempt.job);
    await (await waiting).complete();
    await next;
  });

  test("is unbroken when another attempt goes on", async ({ client, worker }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const first = await worker.next();
    first.say("Hello", writeTokenIds([1], { prompt: [7] }));
    const reader = await answer;
    const chunk = await reader.next();
    await first.release();
    const second = await worker.next();
    second.say(" world", writeTokenIds([2], { position: 1 }));
    await second.complete();
    const chunks = [chunk, ...(await reader.rest())].map((event) => event?.data ?? "");

    expect(chunks.map((data) => /"content":"(.+?)"/.exec(data)?.[1] ?? data)).toEqual([
      "Hello",
      " world",
      "[DONE]",
    ]);
    expect(chunks.join("")).not.toContain("ids");
  });

  test("ends with an error chunk when Redis has lost what was streamed", async ({
    client,
    worker,
    redis,
  }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    run.say("Hello");
    const reader = await answer;
    await reader.next();
    await redis.del(...(await redis.keys(`*:log:${run.attempt.job}`)));
    const chunks = (await reader.rest()).map(({ data }) => JSON.parse(data));

    expect(chunks).toEqual([{ error: expect.objectContaining({ code: "output_interrupted" }) }]);
    await expect(run.lost).resolves.toBeTypeOf("string");
  });

  test("may be repeated when Redis lost the whole job before any output", async ({
    client,
    worker,
    redis,
  }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    await redis.del(...(await redis.keys(`*${run.attempt.job}*`)));
    // The head may be out, with a comment, before the loss is noticed.
    const chunks = (await (await answer).rest()).map(({ data }) => JSON.parse(data));

    expect(chunks).toEqual([{ error: expect.objectContaining({ code: "queue_unavailable" }) }]);
  });

  test("ends with an error chunk when Redis lost the whole job after that", async ({
    client,
    worker,
    redis,
  }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    run.say("Hello");
    const reader = await answer;
    await reader.next();
    await redis.del(...(await redis.keys(`*${run.attempt.job}*`)));
    const chunks = (await reader.rest()).map(({ data }) => JSON.parse(data));

    expect(chunks).toEqual([{ error: expect.objectContaining({ code: "output_interrupted" }) }]);
  });

  test("sends a comment while it waits; then failures are chunks", async ({ client, worker }) => {
    const reader = await client.stream("POST", "/v1/chat/completions", { body: streamed });
    const comment = await reader.nextOfAny();
    const run = await worker.next();
    await run.fail(boom);

    expect(reader.response.status).toBe(200);
    expect(comment).toMatchObject({ isComment: true, data: "heartbeat" });
    expect((await reader.rest()).map(({ data }) => JSON.parse(data))).toEqual([{ error: boom }]);
  });
});

describe("a caller that hangs up", () => {
  test("cancels a stream's job, and frees its worker", async ({ client, worker }) => {
    const answer = client.stream("POST", "/v1/chat/completions", { body: streamed });
    const run = await worker.next();
    run.say("Hello");
    const reader = await answer;
    await reader.next();
    reader.hangUp();

    await expect(run.lost).resolves.toBe("cancelled");
  });

  test("cancels a job that is still queued", async ({ client, ingress }) => {
    const text = JSON.stringify(chat);
    const socket = connect(ingress.port, "127.0.0.1");
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\n` +
        `content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
    );
    const findStates = async (): Promise<unknown[]> => {
      const { body } = await client.call("GET", "/v1/jobs");
      const jobs: { status: string }[] = Object(body["data"]);
      return jobs.map(({ status }) => status);
    };
    await expect.poll(findStates).toEqual(["queued"]);
    socket.destroy();

    await expect.poll(findStates).toEqual(["cancelled"]);
  });

  test("before its job is submitted has none, and holds nothing", async ({
    client,
    ingress,
    redis,
    redisServer,
  }) => {
    redisServer.signal("SIGSTOP");
    // The ingress has yet to read which models there are.
    await hangUpDuring(ingress, { method: "POST", path: "/v1/chat/completions", body: chat });
    redisServer.signal("SIGCONT");

    await expect.poll(() => readMetric(ingress, "llm_active_requests")).toBe(0);
    await expect(readMetric(ingress, "headrace_open_streams")).resolves.toBe(0);
    expect((await client.call("GET", "/v1/jobs")).body["data"]).toEqual([]);
    expect(await redis.keys("*:job:*")).toEqual([]);
  });
});
