import { expect } from "vitest";
import { z } from "zod";

import { ingressTest as test } from "../testing/ingress-test.ts";
import { startResponse } from "../testing/responses.ts";

const listSchema = z.object({
  data: z.array(z.looseObject({ id: z.string(), type: z.string() })),
  has_more: z.boolean(),
  last_id: z.string().nullable(),
});

const INPUT = [
  { role: "developer", content: "Be kind" },
  {
    role: "user",
    content: [
      { type: "input_text", text: "What is it?" },
      { type: "input_image", image_url: "https://example.com/a.png" },
    ],
  },
  { type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "Hm" }] },
  { type: "message", role: "assistant", content: [{ type: "output_text", text: "Let me see" }] },
  { type: "function_call", call_id: "c1", name: "look", arguments: "{}" },
  { type: "function_call_output", call_id: "c1", output: "a boat" },
];

test("a response's input can be read again, item by item, its instructions left out", async ({
  client,
}) => {
  const id = await startResponse(client, { instructions: "Be brief", input: INPUT });
  const path = `/v1/responses/${id}/input_items?order=asc`;
  const { data } = listSchema.parse((await client.call("GET", path)).body);

  expect(data).toMatchObject([
    { type: "message", role: "system", content: [{ type: "input_text", text: "Be kind" }] },
    {
      role: "user",
      content: [
        { type: "input_text", text: "What is it?" },
        { type: "input_image", image_url: "https://example.com/a.png", detail: "auto" },
      ],
    },
    { type: "reasoning", content: [{ type: "reasoning_text", text: "Hm" }] },
    {
      type: "message",
      role: "assistant",
      content: [{ type: "output_text", text: "Let me see", annotations: [] }],
    },
    { type: "function_call", call_id: "c1", name: "look", arguments: "{}" },
    { type: "function_call_output", call_id: "c1", output: "a boat" },
  ]);
  expect(new Set(data.map((item) => item.id)).size).toBe(6);
});

test("it comes in pages, the newest first", async ({ client }) => {
  const id = await startResponse(client, { input: INPUT });
  const types: string[] = [];
  let after = "";
  for (;;) {
    const { body } = await client.call("GET", `/v1/responses/${id}/input_items?limit=4${after}`);
    const page = listSchema.parse(body);
    types.push(...page.data.map(({ type }) => type));
    after = `&after=${page.last_id}`;
    if (!page.has_more) break;
  }

  expect(types).toEqual([
    "function_call_output",
    "function_call",
    "message",
    "reasoning",
    "message",
    "message",
  ]);
});

test.for([
  ["?limit=0", "limit"],
  ["?order=up", "order"],
  ["?after=msg_1", "after"],
  ["?before=msg_1", "before"],
] as const)("a wrong query is named: %s", async ([query, param], { client }) => {
  const id = await startResponse(client);
  const answer = await client.call("GET", `/v1/responses/${id}/input_items${query}`);

  expect(answer.status).toBe(400);
  expect(answer.body).toMatchObject({ error: { param } });
});
