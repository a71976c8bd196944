import { newKeySchema, type KeyCreate, type NewKey } from "@headrace/contract";

import { TestClient } from "./client.ts";

/** Make a key with the operator's client. */
export async function makeKey(
  operator: TestClient,
  fields: Partial<KeyCreate> = {},
): Promise<NewKey & { readonly client: TestClient }> {
  const answer = await operator.call("POST", "/admin/v1/keys", {
    body: { name: "a test", ...fields },
  });
  const made = newKeySchema.parse(answer.body);
  return { ...made, client: operator.with(made.key) };
}
