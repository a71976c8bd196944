import { describe, expect } from "vitest";

import { ingressTest as test } from "../testing/ingress-test.ts";
import { BACKGROUND, CREATE, startResponse } from "../testing/responses.ts";

describe("what is no response", () => {
  test.for([
    ["GET", ""],
    ["GET", "?stream=true"],
    ["DELETE", ""],
    ["POST", "/cancel"],
  ] as const)("answers %s%s with 404", async ([method, path], { client }) => {
    const job = await client.submit();
    const unknown = ["nonsense", "resp_aaaaaa_00000000000000000000000000", "__proto__", job];
    const answers = await Promise.all(
      [...unknown, job.replace("job_", "resp_")].map((id) =>
        client.call(method, `/v1/responses/${id}${path}`),
      ),
    );

    for (const { status, body } of answers) {
      expect([status, body]).toMatchObject([404, { error: { code: "response_not_found" } }]);
    }
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });

  test("is refused by name, with nothing enqueued and nothing quoted", async ({ client, logs }) => {
    const bodies: readonly (readonly [object, string, number])[] = [
      [{ ...CREATE, model: "nobody" }, "model", 404],
      [
        { ...CREATE, input: [{ role: "user", content: [{ type: "input_file" }] }] },
        "input[0].content[0].type",
        400,
      ],
      [{ ...BACKGROUND, store: false }, "store", 400],
      [{ ...CREATE, previous_response_id: "resp_1" }, "previous_response_id", 400],
      [{ ...CREATE, stream: "yes" }, "stream", 400],
    ];
    for (const [body, param, status] of bodies) {
      const answer = await client.call("POST", "/v1/responses", { body });
      expect([answer.status, answer.body]).toMatchObject([status, { error: { param } }]);
      expect(answer.text).not.toContain("CANARY");
    }
    const listed = await client.call("GET", "/v1/jobs");

    expect(listed.body["data"]).toEqual([]);
    expect(logs.text).not.toContain("CANARY");
  });

  test.for([
    ["?stream=yes", "stream"],
    ["?stream=true&starting_after=-1", "starting_after"],
    ["?stream=true&starting_after=1.5", "starting_after"],
    ["?stream=true&starting_after=99999999999999999", "starting_after"],
    ["?stream=true&starting_after=4", "starting_after"],
    ["?starting_after=1", "starting_after"],
    ["?include_obfuscation=true", "include_obfuscation"],
    ["?after=1", "after"],
  ] as const)("is no query: %s", async ([query, param], { client }) => {
    const id = await startResponse(client);
    const answer = await client.call("GET", `/v1/responses/${id}${query}`);

    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ error: { param } });
  });

  test("is no header: Last-Event-ID", async ({ client }) => {
    const id = await startResponse(client);
    const headers = { "last-event-id": "1-1" };
    const answer = await client.call("GET", `/v1/responses/${id}?stream=true`, { headers });

    expect(answer.body).toMatchObject({ error: { param: "Last-Event-ID" } });
  });
});
