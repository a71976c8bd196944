import { describe, expect, test } from "vitest";

import { answers, CHAT, RecordingSink, streams, TestEngine, WHOLE } from "./test-engine.ts";

const never = new AbortController().signal;
const EMBED = {
  endpoint: "/v1/embeddings",
  body: { model: "m", input: ["a"], priority: -9 },
  requestId: "job_1",
} as const;
const VECTORS = { object: "list", model: "m", data: [{ index: 0, embedding: [0.5] }] };
const REFUSAL = {
  error: {
    message:
      "Got priority 2 but Priority scheduling is not enabled. Start the server with --scheduling-policy priority.",
    type: "BadRequestError",
    code: 400,
  },
};

function prioritiesOf({ requests }: TestEngine): unknown[] {
  return requests.map(({ body }) =>
    typeof body === "object" && body !== null && "priority" in body ? body.priority : "none",
  );
}

/** A server that schedules first come, first served, as vLLM does unless told otherwise. */
async function withoutPolicy(): Promise<TestEngine> {
  return TestEngine.start((response, request) => {
    const { body } = request;
    const isRefused = typeof body === "object" && body !== null && "priority" in body;
    (isRefused ? answers(400, REFUSAL) : streams(WHOLE))(response, request);
  });
}

describe("a priority", () => {
  test("goes to the engine in the place of the caller's own", async () => {
    await using server = await TestEngine.start(streams(WHOLE));
    const own = { ...CHAT, body: { ...CHAT.body, priority: -100 } };

    await server.engine.stream({ ...own, priority: 2 }, new RecordingSink(), never);
    await server.engine.stream({ ...own, priority: 0 }, new RecordingSink(), never);
    await server.engine.stream(own, new RecordingSink(), never);

    expect(prioritiesOf(server)).toEqual([2, "none", "none"]);
  });

  test("goes with what is answered whole, too", async () => {
    await using server = await TestEngine.start(answers(200, VECTORS));

    await server.engine.call({ ...EMBED, priority: 1 }, never);
    await server.engine.call(EMBED, never);

    expect(prioritiesOf(server)).toEqual([1, "none"]);
  });

  test("is left out, now and from then on, where the engine refuses it", async () => {
    await using server = await withoutPolicy();
    const sink = new RecordingSink();

    await server.engine.stream({ ...CHAT, priority: 2 }, sink, never);
    await server.engine.stream({ ...CHAT, priority: 2 }, new RecordingSink(), never);

    expect(sink.events).toHaveLength(2);
    expect(prioritiesOf(server)).toEqual([2, "none", "none"]);
  });

  test("stays when a request is refused for something else, whatever it quotes", async () => {
    const message = "bad prompt: Got priority 2 but Priority scheduling is not enabled";
    await using server = await TestEngine.start(answers(400, { error: { message } }));

    for (const priority of [2, 2]) {
      const failing = server.engine.stream({ ...CHAT, priority }, new RecordingSink(), never);
      await expect(failing).rejects.toMatchObject({ code: "engine_rejected" });
    }

    expect(prioritiesOf(server)).toEqual([2, 2]);
  });
});
