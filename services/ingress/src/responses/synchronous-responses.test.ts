import { describe, expect } from "vitest";

import { ingressTest as test } from "../testing/ingress-test.ts";
import { CREATE, dataOf, readTo, responseOf } from "../testing/responses.ts";
import { USAGE } from "../testing/simulated-worker.ts";

const boom = { message: "boom", type: "server_error", param: null, code: "engine_failed" };

describe("a synchronous response", () => {
  test("is answered whole, kept, and a job as well", async ({ client, worker }) => {
    const answer = client.call("POST", "/v1/responses", { body: CREATE });
    const run = await worker.next();
    run.say("Hello");
    await run.complete();
    const { status, body, headers } = await answer;
    const id = String(body["id"]);

    expect(status).toBe(200);
    expect(body).toMatchObject({
      object: "response",
      status: "completed",
      background: false,
      output: [{ type: "message", content: [{ text: "Hello" }] }],
      usage: { input_tokens: USAGE.prompt_tokens },
    });
    expect(headers.get("x-headrace-job-id")).toBe(id.replace("resp_", "job_"));
    expect((await client.call("GET", `/v1/responses/${id}`)).body).toEqual(body);
    const job = await client.call("GET", `/v1/jobs/${id.replace("resp_", "job_")}`);
    expect(job.body).toMatchObject({
      endpoint: "/v1/chat/completions",
      priority: "interactive",
      result: { object: "chat.completion" },
    });
  });

  test.for([
    ["failed", 502, "engine_failed"],
    ["rejected", 400, "engine_rejected"],
  ] as const)(
    "that %s is an HTTP error, streamed or not",
    async ([, status, code], { client, worker }) => {
      for (const stream of [false, true]) {
        const answer = client.call("POST", "/v1/responses", { body: { ...CREATE, stream } });
        const run = await worker.next();
        await run.fail({ ...boom, code });
        const { status: got, body, headers } = await answer;

        expect(got).toBe(status);
        expect(body).toMatchObject({ error: { code } });
        expect(headers.get("x-should-retry")).toBe("false");
      }
    },
  );

  test("that fails after output ends its stream with an error and a failed response", async ({
    client,
    worker,
  }) => {
    const answer = client.stream("POST", "/v1/responses", { body: { ...CREATE, stream: true } });
    const run = await worker.next();
    run.say("Hel");
    const reader = await answer;
    await readTo(reader, "response.output_text.delta");
    await run.fail(boom);

    expect(dataOf(await reader.rest())).toMatchObject([
      { type: "error", code: "engine_failed", message: "boom" },
      { type: "response.failed", response: { status: "failed", output: [{}] } },
    ]);
  });

  test("whose output Redis lost ends its stream likewise, under numbers of no other event", async ({
    client,
    worker,
    redis,
  }) => {
    const answer = client.stream("POST", "/v1/responses", { body: { ...CREATE, stream: true } });
    const run = await worker.next();
    run.say("Hel");
    const reader = await answer;
    await readTo(reader, "response.output_text.delta");
    await redis.del(...(await redis.keys(`*:log:${run.attempt.job}`)));

    expect(dataOf(await reader.rest())).toMatchObject([
      { type: "error", code: "output_interrupted", sequence_number: 2 ** 24 - 2 },
      { type: "response.failed", sequence_number: 2 ** 24 - 1 },
    ]);
  });

  test("answers with what Redis kept, not with what it lost", async ({ client, worker, redis }) => {
    const answer = client.call("POST", "/v1/responses", { body: CREATE });
    const run = await worker.next();
    run.say("lost");
    const { job } = run.attempt;
    await expect.poll(async () => redis.keys(`*:log:${job}`)).toHaveLength(1);
    await redis.del(...(await redis.keys(`*:log:${job}`)));
    await run.release();
    const second = await worker.next();
    second.say("kept");
    await second.complete();

    expect((await answer).body).toMatchObject({ output: [{ content: [{ text: "kept" }] }] });
  });

  test("that is not to be stored is there for nobody, and gone once answered", async ({
    client,
    worker,
    redis,
  }) => {
    const answer = client.call("POST", "/v1/responses", { body: { ...CREATE, store: false } });
    const run = await worker.next();
    const id = run.attempt.job.replace("job_", "resp_");
    const during = await client.call("GET", `/v1/responses/${id}`);
    await run.complete();

    expect((await answer).status).toBe(200);
    expect(during.status).toBe(404);
    await expect.poll(async () => redis.keys(`*${run.attempt.job}*`)).toEqual([]);
  });

  test("of which nothing is to be stored is gone soon when its caller hangs up", async ({
    client,
    worker,
    redis,
  }) => {
    const body = { ...CREATE, stream: true, store: false };
    const answer = client.stream("POST", "/v1/responses", { body });
    const run = await worker.next();
    run.say("Hel");
    const reader = await answer;
    await reader.next();
    reader.hangUp();
    await run.lost;

    const left = await redis.keys(`hr:{*}:[jl]o[bg]:${run.attempt.job}`);
    const lives = await Promise.all(left.map((key) => redis.pttl(key)));
    expect(lives).toHaveLength(2);
    for (const lifeMs of lives) expect(lifeMs).toBeLessThanOrEqual(10_000);
  });

  test("cannot be cancelled by a call, and is by hanging up", async ({ client, worker }) => {
    const answer = client.stream("POST", "/v1/responses", { body: { ...CREATE, stream: true } });
    const run = await worker.next();
    run.say("Hel");
    const reader = await answer;
    const id = responseOf(await reader.next());
    const cancel = `/v1/responses/${id}/cancel`;
    const { status, body } = await client.call("POST", cancel);
    reader.hangUp();

    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: "request_invalid", param: "response_id" } });
    await expect(run.lost).resolves.toBe("cancelled");
  });
});
