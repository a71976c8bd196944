import { AllowList } from "@headrace/receivers";
import { describe, expect } from "vitest";

import { Ingress } from "./ingress.ts";
import { TestClient, type Answer } from "./testing/client.ts";
import { API_KEY, ingressTest as test, testConfig } from "./testing/ingress-test.ts";

const ENDPOINTS = "/v1/webhook_endpoints";

const create = (client: TestClient, url: string): Promise<Answer> =>
  client.call("POST", ENDPOINTS, { body: { url, event_types: ["job.*"] } });

describe("a receiver that would never be sent to", () => {
  const listing = test.extend("start", ({ redisServer, worker: _registered, logs }, {
    onCleanup,
  }) => {
    return async (receivers: readonly string[]) => {
      const config = testConfig(redisServer.url, logs);
      const ingress = await Ingress.start({ ...config, receivers: new AllowList(receivers) });
      onCleanup(() => ingress.close());
      return new TestClient(ingress.port, API_KEY);
    };
  });

  listing("can be no endpoint's, and says why", async ({ start }) => {
    const client = await start([]);
    const made = await create(client, "https://receiver.example/");
    const refused = [
      await create(client, "http://receiver.example/"),
      await create(client, "https://[fd00::1]/"),
      await client.call("POST", `${ENDPOINTS}/${String(made.body["id"])}`, {
        body: { url: "https://receiver.example:8080/" },
      }),
    ];

    expect(made.status).toBe(200);
    for (const { status, body } of refused) {
      expect([status, body]).toMatchObject([400, { error: { param: "url" } }]);
    }
    expect(refused[0]?.body).toMatchObject({
      error: { message: expect.stringMatching(/443 or 8443 .* operator has not listed/) },
    });
  });

  listing.for([
    [["receiver.internal"], "http://receiver.internal:3000/", 200],
    [["receiver.internal"], "http://other.internal:3000/", 400],
    [["10.0.0.0/8"], "http://10.1.2.3:3000/", 200],
    // The name may lead into the network: whoever connects to it sees.
    [["10.0.0.0/8"], "http://other.internal:3000/", 200],
    [["10.0.0.0/8"], "http://127.0.0.1:3000/", 400],
  ] as const)("is by what the operator lists: %j, %s", async ([list, url, status], { start }) => {
    const answer = await create(await start(list), url);

    expect(answer.status).toBe(status);
  });
});
