import { demandSchema } from "@headrace/contract";
import { expect } from "vitest";

import { ingressTest as test } from "./testing/ingress-test.ts";

test("The operations port tells what is asked of each model, and the API's does not", async ({
  ingress,
  client,
  worker,
}) => {
  await worker.close();
  await client.submit();
  const answer = await fetch(`http://127.0.0.1:${ingress.operationsPort}/internal/demand`);
  const { status } = await fetch(`http://127.0.0.1:${ingress.port}/internal/demand`);

  expect(demandSchema.parse(await answer.json())).toMatchObject({
    object: "demand",
    models: [{ model: "acme/test-model", version: "v1", demand: 1, waiting: { standard: 1 } }],
  });
  expect(status).toBe(404);
});
